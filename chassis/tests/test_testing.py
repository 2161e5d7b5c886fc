"""The testing kit's clock and its waiting."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from chassis.testing import FixedClock, eventually


class TestFixedClock:
    """A clock that stands still."""

    def test_moves_only_when_told(self) -> None:
        """Time is what the test says."""
        clock = FixedClock(datetime(2026, 3, 1, tzinfo=UTC))
        assert clock.now() == clock.now()

        clock.advance(timedelta(minutes=31))

        assert clock.now() == datetime(2026, 3, 1, 0, 31, tzinfo=UTC)

    def test_speaks_utc(self) -> None:
        """A start in another zone is told in UTC."""
        clock = FixedClock(datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=2))))

        assert clock.now().tzinfo is UTC

    def test_refuses_naive_time(self) -> None:
        """A time without a zone is no time."""
        with pytest.raises(ValueError, match="aware"):
            FixedClock(datetime(2026, 3, 1))  # noqa: DTZ001 - the point of this test


class TestEventually:
    """Waiting for a fact."""

    async def test_gives_the_first_true_answer(self) -> None:
        """Polling ends with what the condition gave."""
        answers = iter([None, 0, "", "there"])

        assert await eventually(lambda: next(answers)) == "there"

    async def test_awaits_an_async_condition(self) -> None:
        """A condition may ask a database."""

        async def condition() -> int:
            await asyncio.sleep(0)
            return 7

        assert await eventually(condition) == 7

    async def test_takes_a_failed_assertion_as_not_yet(self) -> None:
        """A condition may be written with assert."""
        attempts: list[int] = []

        def condition() -> bool:
            attempts.append(1)
            assert len(attempts) > 2
            return True

        assert await eventually(condition)

    async def test_says_what_never_came(self) -> None:
        """The failure names the condition and its last answer."""

        def mail_arrived() -> list[str]:
            return []

        with pytest.raises(AssertionError, match=r"within 0.05 s: .*mail_arrived; it gave \[\]"):
            await eventually(mail_arrived, within=0.05)

    async def test_does_not_wait_for_an_answer_that_never_comes(self) -> None:
        """The deadline also ends a condition that hangs."""
        never = asyncio.Event()

        with pytest.raises(AssertionError, match="no answer yet"):
            await eventually(never.wait, within=timedelta(milliseconds=50))

    async def test_passes_other_errors_on(self) -> None:
        """A mistake in the condition is not waited for, nor taken for the deadline."""

        def condition() -> bool:
            raise TimeoutError

        with pytest.raises(TimeoutError):
            await eventually(condition)
