"""The published language: event types, commands, and the bodies of the internal API.

Plain data with its wire form. Imports nothing of ours, so that any consumer can take it along.
A published field is never renamed or removed: a `v2` type is published beside `v1`.
"""
