"""Who is counted together, and how ids tell time."""

from datetime import timedelta

import pytest

from chassis.ids import uuid7
from chassis.testing import FixedClock
from services.identity.domain.lockout import (
    Counter,
    Limits,
    first_id_at,
    moment_of,
    source_of,
    whole_seconds,
)

LIMITS = Limits(max_attempts=5, lockout=timedelta(minutes=30), max_per_source=50)


class TestSource:
    """An IPv4 address, or an IPv6 network."""

    @pytest.mark.parametrize(
        ("address", "source"),
        [
            ("198.51.100.7", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            (None, None),
            ("", None),
            ("unknown", None),
        ],
    )
    def test_is_what_one_customer_has(self, address: str | None, source: str | None) -> None:
        """Nobody gets more attempts by using more of his own addresses."""
        assert source_of(address) == source


class TestCounter:
    """What a counter means."""

    def test_a_hundred_consecutive_failures_lock_without_an_end(self, clock: FixedClock) -> None:
        """Only a reset helps (N-12)."""
        counter = Counter(failures=0, consecutive=100, pending=0, locked_until=None)
        assert counter.locked_for(clock.now(), LIMITS) == LIMITS.lockout

    def test_a_lock_ends_by_itself(self, clock: FixedClock) -> None:
        """The lock lasts to the second."""
        until = clock.now() + timedelta(seconds=1)
        counter = Counter(failures=5, consecutive=5, pending=0, locked_until=until)
        assert counter.locked_for(clock.now(), LIMITS) == timedelta(seconds=1)
        assert counter.locked_for(until, LIMITS) is None

    def test_waits_are_told_in_whole_seconds(self) -> None:
        """Never 0: a client would come back at once."""
        waits = (timedelta(0), timedelta(seconds=0.2), timedelta(seconds=59.1))
        assert [whole_seconds(wait) for wait in waits] == [1, 1, 60]


class TestIdsAsTime:
    """Attempt ids are UUIDv7s."""

    def test_tell_when_they_were_made(self, clock: FixedClock) -> None:
        """An id lies between the bounds of its millisecond."""
        made = uuid7(clock)
        assert moment_of(made) == clock.now()
        later = clock.now() + timedelta(milliseconds=1)
        assert first_id_at(clock.now()) <= made < first_id_at(later)
