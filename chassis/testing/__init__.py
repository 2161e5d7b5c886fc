"""The testing kit: private servers, fresh databases, a clock that stands still, and waiting.

Tests import from here; pytest loads the fixtures from `chassis.testing.fixtures`.
"""

from uuid import UUID

from chassis.testing.clock import FixedClock
from chassis.testing.databases import FreshDatabase
from chassis.testing.eventually import eventually

__all__ = ["NOBODY", "FixedClock", "FreshDatabase", "eventually"]

NOBODY = UUID("0190a3c4-7d10-7b6e-9f21-5a0c3e6d8b42")
"""An id that nobody and nothing has; the same in every run, so that tests keep their names."""
