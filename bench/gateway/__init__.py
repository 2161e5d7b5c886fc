"""This gateway against HAProxy, nginx and what others would write: `python -m bench.gateway`."""
