"""Passing a judged request on: streamed both ways, nothing reinterpreted."""
