"""How identity stores what it owns: all its SQL. Nothing here commits.

Rows are locked in one order everywhere, so that no two transactions wait for each other:
`login_counters` (by key), `login_sources`, `users`, one-time tokens, then the rest.
"""
