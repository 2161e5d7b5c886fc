"""What audit does, one module per use case: recording, reading, partitions, sequences."""
