"""Gatehouse in its two shapes, as a test starts it: all in one process, and five processes."""
