"""The breaker: when nobody knocks, who tries first, and how sending widens again."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from chassis.backoff import Backoff
from chassis.testing import FixedClock
from services.notify.domain.messages import LONGEST_WAIT
from services.notify.sender import Sender
from services.notify.service.breaker import Breaker
from services.notify.tests.kit import House, command
from services.notify.transports import PermanentFailure, TemporaryFailure, TransportUnavailable

SECOND = timedelta(seconds=1)
STEADY = Backoff(first=SECOND, cap=timedelta(minutes=1), chance=lambda: 0.0)


@pytest.fixture
def clock() -> FixedClock:
    """Give the breaker's time."""
    return FixedClock()


@pytest.fixture
def breaker(clock: FixedClock) -> Breaker:
    """Give a breaker for four workers, whose pauses are exact."""
    return Breaker(clock=clock, width=4, pauses=STEADY)


def fail(breaker: Breaker, times: int = 1, retry_after: timedelta | None = None) -> list[object]:
    """Have deliveries fail one after the other; return the pauses that began."""
    begun: list[object] = []
    for _ in range(times):
        assert breaker.admit()
        begun.append(breaker.failed(retry_after=retry_after))
        breaker.leave()
    return begun


def admitted(breaker: Breaker) -> int:
    """Count how many deliveries may run at once now, and let them go again."""
    count = sum(breaker.admit() for _ in range(10))
    for _ in range(count):
        breaker.leave()
    return count


class TestClosing:
    """What makes it pause."""

    def test_a_few_failures_do_not(self, breaker: Breaker) -> None:
        """And a success forgets them."""
        assert fail(breaker, 4) == [None] * 4
        breaker.succeeded()

        assert fail(breaker, 4) == [None] * 4
        assert not breaker.paused
        assert admitted(breaker) == 4

    def test_five_in_a_row_do(self, breaker: Breaker) -> None:
        """Nobody is admitted then."""
        assert fail(breaker, 5) == [None] * 4 + [SECOND]
        assert breaker.paused
        assert admitted(breaker) == 0

    def test_a_named_wait_does_at_once(self, breaker: Breaker, clock: FixedClock) -> None:
        """For as long as it says."""
        assert fail(breaker, 1, timedelta(minutes=2)) == [timedelta(minutes=2)]

        clock.advance(timedelta(minutes=2) - SECOND)
        assert admitted(breaker) == 0
        clock.advance(SECOND)
        assert admitted(breaker) == 1

    def test_a_named_wait_has_a_bound(self, breaker: Breaker) -> None:
        """Nobody puts us off for days at a time."""
        assert fail(breaker, 1, timedelta(days=400)) == [LONGEST_WAIT]

    def test_stragglers_do_not_lengthen_it(self, breaker: Breaker, clock: FixedClock) -> None:
        """Deliveries that were on their way tell nothing new, unless they name a longer wait."""
        fail(breaker, 4)
        places = [breaker.admit() for _ in range(4)]

        begun = [breaker.failed(retry_after=asked) for asked in (None, None, None, 9 * SECOND)]
        for _ in places:
            breaker.leave()

        assert begun == [SECOND, None, None, None]
        clock.advance(9 * SECOND - timedelta(microseconds=1))
        assert admitted(breaker) == 0


class TestTrying:
    """What happens after a pause."""

    def test_pauses_double_up_to_a_minute(self, breaker: Breaker, clock: FixedClock) -> None:
        """One mail tries after each; a down server is met once a minute."""
        fail(breaker, 5)
        pauses = []
        for _ in range(8):
            clock.advance(timedelta(minutes=1))
            assert admitted(breaker) == 1
            pauses += fail(breaker)

        assert pauses == [timedelta(seconds=s) for s in (2, 4, 8, 16, 32, 60, 60, 60)]

    def test_sending_widens_with_each_success(self, breaker: Breaker, clock: FixedClock) -> None:
        """One, two, four: never more than there are workers."""
        fail(breaker, 5)
        clock.advance(SECOND)
        widths = [admitted(breaker)]
        for _ in range(4):
            breaker.succeeded()
            widths.append(admitted(breaker))

        assert widths == [1, 2, 4, 4, 4]

    def test_tells_that_it_resumes_once(self, breaker: Breaker, clock: FixedClock) -> None:
        """For one line in the log."""
        fail(breaker, 5)
        clock.advance(SECOND)

        assert [breaker.succeeded(), breaker.succeeded()] == [True, False]
        assert not breaker.paused


class TestInDelivery:
    """What counts as an absent transport."""

    async def test_nothing_is_claimed_while_it_is_down(self, house: House) -> None:
        """Waiting mails keep their attempts; afterwards each goes out once."""
        for number in range(8):
            await house.receive(
                command(house.user_id, email=f"p{number}@example.org", clock=house.clock)
            )
        house.transport.failures = [TransportUnavailable("smtp_connect_lost") for _ in range(5)]

        assert len(await house.deliver_all()) == 5
        assert house.delivery.paused
        assert house.transport.mails == []

        house.clock.advance(timedelta(minutes=1))
        await house.deliver_all()
        assert len({mail.recipient for mail in house.transport.mails}) == 8
        assert len(house.transport.mails) == 8
        assert not house.delivery.paused

    async def test_refused_mails_do_not_stop_the_others(self, house: House) -> None:
        """A server that refuses is there; so is one that asks for patience with one mailbox."""
        refusals = [PermanentFailure("smtp_recipient_550"), TemporaryFailure("smtp_recipient_451")]
        for _ in range(8):
            await house.receive(command(house.user_id, clock=house.clock))
        house.transport.failures = [*refusals] * 4

        await house.deliver_all()

        assert not house.delivery.paused
        assert len(house.transport.mails) == 4

    async def test_is_measured(self, house: House) -> None:
        """Operators see a closed way out before users tell them."""
        registry = CollectorRegistry()
        Sender(
            delivery=house.delivery,
            database=house.database,
            due=house.due,
            workers=1,
            retention=timedelta(days=1),
            alone=False,
            registry=registry,
        )
        before = registry.get_sample_value("gatehouse_notify_transport_paused")

        fail(house.delivery._breaker, 5)

        after = registry.get_sample_value("gatehouse_notify_transport_paused")
        assert (before, after) == (0, 1)
