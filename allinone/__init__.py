"""The whole platform in one process: what `make run` starts.

Owns the embedded PostgreSQL, the secrets it makes on the first start, and the process id file, all
in one data folder. Publishes and consumes nothing itself: it builds the same five deployables as
production runs, with events delivered in process and limits counted in memory.
Never for production: everything dies together.
"""
