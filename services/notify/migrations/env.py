"""Alembic's entry into notify's migrations; `chassis.migrations` does the work."""

from chassis.migrations import run_env

run_env()
