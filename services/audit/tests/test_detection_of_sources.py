"""Attacks from sources, recorded and judged on a real database: one incident, one alert."""

from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.testing.servers import PostgresServer
from services.audit.domain.detection.rules import Thresholds
from services.audit.tests.attacks import ATTACKER, MINUTE, SECOND, spraying, stuffing
from services.audit.tests.watch import Door, Watch
from services.audit.tests.world import World


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


class TestSpraying:
    """A few passwords against many accounts, from one address."""

    async def test_is_one_alert_one_event_and_one_block(self, watch: Watch, door: Door) -> None:
        """However long it goes on; the counts grow."""
        await watch.see(spraying(door))
        watch.clock.advance(6 * MINUTE)
        await watch.see(spraying(door, accounts=20))

        (alert,) = await watch.alerts()
        assert (alert.rule, alert.severity, alert.status) == ("password_spraying", "high", "open")
        assert (str(alert.address), alert.address_count) == (f"{ATTACKER}/32", 1)
        assert (alert.attempts, alert.accounts, alert.blocked) == (50, 40, 1)
        assert alert.last_seen - alert.first_seen == 6 * MINUTE + 190 * SECOND
        (told,) = await watch.told()
        assert (told["alert_id"], told["rule"]) == (str(alert.id), "password_spraying")
        assert (told["address"], told["user_id"], told["severity"]) == (ATTACKER, None, "high")
        assert await watch.blocked() == [f"{ATTACKER}/32"]

    async def test_just_below_the_threshold_is_nothing(self, watch: Watch, door: Door) -> None:
        """Fourteen accounts are not fifteen."""
        await watch.see(spraying(door, accounts=14))

        assert (await watch.alerts(), await watch.blocked()) == ([], [])

    async def test_slower_than_the_window_is_nothing(self, watch: Watch, door: Door) -> None:
        """Ten minutes between two tries."""
        slow = [door.failed(f"name-{n}", ATTACKER, after=n * 10 * MINUTE) for n in range(30)]
        await watch.see(slow)

        assert await watch.alerts() == []

    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "10.1.2.3", "169.254.7.7", "fd00::7", "192.0.2.7", "::1"]
    )
    async def test_from_a_protected_address_is_told_and_not_blocked(
        self, watch: Watch, door: Door, address: str
    ) -> None:
        """Loopback, private, link-local, and what the operator named (D26)."""
        await watch.see(spraying(door, address))

        (alert,) = await watch.alerts()
        assert alert.blocked == 0
        assert await watch.blocked() == []

    async def test_from_a_shared_address_is_told_and_not_blocked(
        self, watch: Watch, door: Door
    ) -> None:
        """An attacker behind the office NAT must not shut the office out."""
        office = [e for n in range(20) for e in door.entered(uuid4(), ATTACKER, after=n * SECOND)]
        await watch.see([*office, *spraying(door)])

        assert await watch.rules() == ["password_spraying"]
        assert await watch.blocked() == []

    async def test_after_a_quiet_time_is_a_new_incident(self, watch: Watch, door: Door) -> None:
        """And blocked anew, as the first block has run out."""
        await watch.see(spraying(door))
        watch.clock.advance(timedelta(hours=3))
        await watch.blocks.expire()
        await watch.see(spraying(door))

        first, second = await watch.alerts()
        assert first.last_seen < second.first_seen
        assert await watch.blocked() == [f"{ATTACKER}/32"] * 2

    async def test_going_on_after_the_block_is_blocked_again(
        self, watch: Watch, door: Door
    ) -> None:
        """Within the same alert."""
        await watch.see(spraying(door))
        watch.clock.advance(timedelta(minutes=62))
        await watch.blocks.expire()
        await watch.see(spraying(door))

        (alert,) = await watch.alerts()
        assert (alert.attempts, alert.blocked) == (60, 2)

    async def test_hidden_among_own_logins_is_seen(self, watch: Watch, door: Door) -> None:
        """A success of the attacker's own account resets nothing (X-05)."""
        own = uuid4()
        mixed = [
            e
            for n, guess in enumerate(spraying(door))
            for e in (guess, *door.entered(own, ATTACKER, after=n * 10 * SECOND))
        ]
        await watch.see(mixed)

        assert await watch.rules() == ["password_spraying"]
        assert await watch.blocked() == [f"{ATTACKER}/32"]

    async def test_without_blocks_only_tells(self, world: World) -> None:
        """DETECT_BLOCK_MINUTES=0."""
        watch = Watch(world, thresholds=Thresholds(block=timedelta(0)))
        await watch.see(spraying(Door(watch.clock)))

        assert (await watch.rules(), await watch.blocked()) == (["password_spraying"], [])


class TestStuffing:
    """Many attempts over many accounts."""

    async def test_by_a_botnet_is_one_alert(self, watch: Watch, door: Door) -> None:
        """200 addresses, ten accounts each: none does much, together they are a campaign."""
        await watch.see(stuffing(door))

        (alert,) = await watch.alerts()
        assert (alert.rule, alert.address, alert.user_id) == ("credential_stuffing", None, None)
        assert (len(alert.addresses), alert.address_count) == (20, 200)
        assert alert.accounts == 2000
        assert len(await watch.told()) == 1
        assert len(set(await watch.blocked())) == alert.blocked == 200

    async def test_by_a_botnet_with_changing_agents_is_one_alert(
        self, watch: Watch, door: Door
    ) -> None:
        """What its programs call themselves is the attacker's choice."""
        tries = [
            door.failed(
                f"leaked-{n}-{s}", f"198.51.100.{s}", agent=f"Mozilla/{s}.0", after=n * SECOND
            )
            for n in range(8)
            for s in range(60)
        ]
        await watch.see(tries)

        (alert,) = await watch.alerts()
        assert (alert.rule, alert.address_count) == ("credential_stuffing", 60)

    async def test_by_one_address_after_the_other_ends_in_one_alert(
        self, watch: Watch, door: Door
    ) -> None:
        """The first few are alerts of their own, then it is a campaign and stays one."""
        one_by_one = [
            door.failed(f"leaked-{s}-{n}", f"198.51.100.{s}", after=(s * 20 + n) * SECOND)
            for s in range(100)
            for n in range(20)
        ]
        await watch.see(one_by_one)

        rules = await watch.rules()
        assert rules.count("credential_stuffing") == 1
        assert len(rules) <= 10

    async def test_with_many_tries_is_no_spraying(self, watch: Watch, door: Door) -> None:
        """One address, ten accounts, five passwords each."""
        tries = [
            door.failed(f"name-{n}", ATTACKER, after=(k * 10 + n) * SECOND)
            for k in range(5)
            for n in range(10)
        ]
        await watch.see(tries)

        assert await watch.rules() == ["credential_stuffing"]
        assert await watch.blocked() == [f"{ATTACKER}/32"]

    async def test_from_one_ipv6_network_is_one_source(self, watch: Watch, door: Door) -> None:
        """An attacker chooses from 2^64 addresses (X-05); the block is of all of them."""
        tries = [
            door.failed(f"name-{n}", f"2001:db8:7:7::{n + 1:x}", after=n * SECOND)
            for n in range(20)
        ]
        await watch.see(tries)

        (alert,) = await watch.alerts()
        assert (alert.rule, str(alert.address)) == ("credential_stuffing", "2001:db8:7:7::/64")
        assert alert.address_count == 20
        assert await watch.blocked() == ["2001:db8:7:7::/64"]
