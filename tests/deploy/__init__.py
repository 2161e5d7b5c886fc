"""Tests of what operators apply: images, Compose, Kubernetes, and the settings named in them."""
