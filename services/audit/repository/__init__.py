"""All SQL of audit; nothing here commits."""
