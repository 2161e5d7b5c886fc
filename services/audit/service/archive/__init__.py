"""The archive: written, read back, dropped from the database, and still to be read (D18)."""
