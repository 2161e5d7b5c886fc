"""Alembic's entry into audit's migrations; `chassis.migrations` does the work."""

from chassis.migrations import run_env

run_env()
