"""The testing kit: private servers, fresh databases, a clock that stands still, and waiting.

Tests import from here; pytest loads the fixtures from `chassis.testing.fixtures`.
"""

from chassis.testing.clock import FixedClock
from chassis.testing.databases import FreshDatabase
from chassis.testing.eventually import eventually

__all__ = ["FixedClock", "FreshDatabase", "eventually"]
