"""The rules of identity: plain values and pure functions; time is an argument."""
