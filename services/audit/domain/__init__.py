"""What audit decides, as plain Python: what is personal, what a leaf says, what may be read."""
