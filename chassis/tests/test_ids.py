"""UUIDv7 (RFC 9562)."""

from datetime import UTC, datetime, timedelta

from chassis.ids import uuid7
from chassis.testing import FixedClock


def test_the_layout_is_version_7() -> None:
    """Version, variant and the 48 bits of milliseconds stand where the RFC puts them."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    made = uuid7(FixedClock(now))
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == int(now.timestamp() * 1000)


def test_ids_sort_by_time_and_never_repeat() -> None:
    """A later id is greater; a thousand of one moment differ."""
    clock = FixedClock(datetime(2026, 11, 22, tzinfo=UTC))
    early = {uuid7(clock) for _ in range(1000)}
    clock.advance(timedelta(milliseconds=1))
    assert len(early) == 1000
    assert max(early) < uuid7(clock)
