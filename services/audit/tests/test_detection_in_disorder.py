"""Attacks that arrive late, doubled or backwards: event time decides."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.testing.servers import PostgresServer
from contracts.envelope import CloudEvent
from services.audit.tests.attacks import ATTACKER, MINUTE, SECOND, spraying
from services.audit.tests.watch import Door, Watch


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


Order = Callable[[list[CloudEvent]], list[CloudEvent]]


class TestOrder:
    """Event time decides, not the order of arrival."""

    @pytest.mark.parametrize(
        "order",
        [
            pytest.param(lambda events: events[::-1], id="backwards"),
            pytest.param(lambda events: events[::2] + events[1::2], id="every other one late"),
            pytest.param(lambda events: [*events, *events], id="twice"),
            pytest.param(lambda events: sorted(events, key=lambda e: str(e.data)), id="shuffled"),
        ],
    )
    async def test_changes_nothing(self, watch: Watch, door: Door, order: Order) -> None:
        """The same attack, however it arrives, is the same alert; duplicates never count twice."""
        for event in order(spraying(door)):
            await watch.world.deliver(event)
            await watch.judge()

        (alert,) = await watch.alerts()
        assert (alert.attempts, alert.accounts) == (30, 30)
        assert alert.last_seen - alert.first_seen == 290 * SECOND

    async def test_a_late_failure_before_a_success_counts(self, watch: Watch, door: Door) -> None:
        """Although the success has been judged."""
        victim = uuid4()
        wrong = [door.failed(victim, ATTACKER, after=n * SECOND) for n in range(10)]
        success = door.entered(victim, ATTACKER, after=MINUTE)
        await watch.see([*wrong[:5], *success])
        assert await watch.alerts() == []
        await watch.see(wrong[5:])

        assert await watch.rules() == ["success_after_failures"]

    async def test_an_outage_makes_alarms_late_and_blocks_needless(
        self, watch: Watch, door: Door
    ) -> None:
        """What ended longer ago than a block lasts is told alone."""
        attack = spraying(door)
        watch.clock.advance(timedelta(hours=2))
        await watch.see(attack)

        assert (await watch.rules(), await watch.blocked()) == (["password_spraying"], [])

    async def test_hours_in_one_batch_are_not_one_hour(self, watch: Watch, door: Door) -> None:
        """Tries of a whole day that arrive together are still far apart."""
        day = [door.failed(f"name-{n}", ATTACKER, after=n * 10 * MINUTE) for n in range(144)]
        await watch.world.deliver(*day)
        await watch.judge()

        assert await watch.alerts() == []

    async def test_two_attacks_in_one_batch_are_two_alerts(self, watch: Watch, door: Door) -> None:
        """When hours lie between them."""
        both = [*spraying(door), *spraying(door, start=timedelta(hours=5))]
        await watch.world.deliver(*both)
        await watch.judge()

        first, second = await watch.alerts()
        assert (first.attempts, second.attempts) == (30, 30)
