"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """The time a test says it is."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, 12, tzinfo=UTC)
        if self._now.tzinfo is None:
            raise ValueError("a clock's time is aware")

    def now(self) -> datetime:
        """Return the time as set, aware, in UTC."""
        return self._now.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Move the time on."""
        self._now += by
