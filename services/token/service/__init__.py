"""What happens, in order: one module per use case, one transaction each."""
