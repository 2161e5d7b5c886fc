"""The rules of sessions and tokens: pure functions and frozen values, time is an argument."""
