"""Measurements anybody can run: each prints a table and leaves nothing behind."""
