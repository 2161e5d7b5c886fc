"""Queries, bodies and answers of audit's HTTP API."""
