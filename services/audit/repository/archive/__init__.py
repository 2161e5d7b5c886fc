"""SQL of the archive: the rows that go into it, its index and manifests, its keys."""
