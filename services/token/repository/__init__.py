"""All SQL of token: one module per table, each function inside the caller's transaction."""
