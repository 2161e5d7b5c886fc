"""The use cases of identity, one class each: every one opens the only transaction it needs."""
