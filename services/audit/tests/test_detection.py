"""Scripted attacks, recorded and judged on a real database: one incident, one alert."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest

from chassis.testing.servers import PostgresServer
from contracts.envelope import CloudEvent
from services.audit.domain.detection.rules import Thresholds
from services.audit.tests.watch import Door, Watch
from services.audit.tests.world import World

ATTACKER = "203.0.113.7"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


@pytest.fixture
def watch(world: World) -> Watch:
    """Give audit with its detector; 192.0.2.0/24 is the operator's own."""
    return Watch(world, protected=[ip_network("192.0.2.0/24")])


@pytest.fixture
def door(watch: Watch) -> Door:
    """Give the maker of events."""
    return Door(watch.clock)


def spraying(
    door: Door, address: str = ATTACKER, *, accounts: int = 30, start: timedelta = timedelta(0)
) -> list[CloudEvent]:
    """Return one try at each of many accounts, half of which exist."""
    return [
        door.failed(uuid4() if n % 2 else f"name-{n}", address, after=start + n * 10 * SECOND)
        for n in range(accounts)
    ]


def stuffing(door: Door, *, sources: int = 200, tries: int = 10) -> list[CloudEvent]:
    """Return a botnet's tries, each at another account, the sources in turn."""
    return [
        door.failed(
            f"leaked-{source}-{n}",
            f"198.51.{100 + source // 250}.{source % 250}",
            agent="stuffer/1.0",
            after=(n * sources + source) * SECOND,
        )
        for n in range(tries)
        for source in range(sources)
    ]


def guessing(door: Door, victim: UUID | str, *, addresses: int = 100) -> list[CloudEvent]:
    """Return a guess from each of many addresses."""
    return [
        door.failed(victim, f"198.51.100.{n + 1}", agent=f"bot/{n}", after=n * 20 * SECOND)
        for n in range(addresses)
    ]


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


class TestGuessing:
    """One account, many addresses."""

    async def test_is_one_alert_for_the_user(self, watch: Watch, door: Door) -> None:
        """No address is the cause: none is blocked."""
        victim = uuid4()
        await watch.see(guessing(door, victim))

        (alert,) = await watch.alerts()
        assert (alert.rule, alert.user_id, alert.address) == ("account_guessing", victim, None)
        assert (alert.attempts, alert.address_count, len(alert.addresses)) == (100, 100, 20)
        (told,) = await watch.told()
        assert (told["user_id"], told["address"]) == (str(victim), None)
        assert await watch.blocked() == []

    async def test_at_a_name_nobody_has_concerns_nobody(self, watch: Watch, door: Door) -> None:
        """Unknown names count too, by their hash."""
        await watch.see(guessing(door, "nobody"))

        (alert,) = await watch.alerts()
        assert (alert.rule, alert.user_id) == ("account_guessing", None)

    async def test_while_the_owner_logs_in_mistrusts_nobody(self, watch: Watch, door: Door) -> None:
        """A success from the known device is the owner's, whoever else guesses."""
        victim = uuid4()
        guesses = guessing(door, victim)
        own = door.entered(victim, "198.18.0.1", after=30 * MINUTE)
        await watch.see([*guesses[:90], *own, *guesses[90:]])

        assert await watch.rules() == ["account_guessing"]


class TestSuccessAfterFailures:
    """A guess that came true."""

    async def test_from_a_new_device_is_critical(self, watch: Watch, door: Door) -> None:
        """Wherever the wrong ones came from."""
        victim = uuid4()
        guesses = guessing(door, victim, addresses=9) + guessing(door, victim, addresses=3)
        success = door.entered(victim, "198.51.100.3", new_device=True, after=10 * MINUTE)
        await watch.see([*guesses, *success])

        (alert,) = await watch.alerts()
        assert (alert.rule, alert.severity) == ("success_after_failures", "critical")
        assert (alert.user_id, str(alert.address)) == (victim, "198.51.100.3/32")
        assert await watch.blocked() == []

    async def test_from_the_source_of_the_failures_needs_no_new_device(
        self, watch: Watch, door: Door
    ) -> None:
        """Ten wrong ones, then the right one."""
        victim = uuid4()
        wrong = [door.failed(victim, ATTACKER, after=n * 5 * MINUTE) for n in range(10)]
        await watch.see([*wrong, *door.entered(victim, ATTACKER, after=51 * MINUTE)])

        assert await watch.rules() == ["success_after_failures"]

    @pytest.mark.parametrize("failures", [1, 4, 9])
    async def test_after_few_is_a_typing_error(
        self, watch: Watch, door: Door, failures: int
    ) -> None:
        """People mistype."""
        victim = uuid4()
        wrong = [door.failed(victim, ATTACKER, after=n * SECOND) for n in range(failures)]
        success = door.entered(victim, ATTACKER, new_device=True, after=MINUTE)
        await watch.see([*wrong, *success])

        assert await watch.alerts() == []

    async def test_by_a_reset_is_the_owner(self, watch: Watch, door: Door) -> None:
        """Who forgot the password, tried all others and took the mailed link."""
        owner = uuid4()
        wrong = [door.failed(owner, ATTACKER, after=n * SECOND) for n in range(12)]
        reset = door.renewed(owner, ATTACKER, after=MINUTE)
        success = door.entered(owner, ATTACKER, new_device=True, after=2 * MINUTE)
        await watch.see([*wrong, reset, *success])

        assert await watch.alerts() == []

    async def test_typing_errors_of_a_day_do_not_add_up(self, watch: Watch, door: Door) -> None:
        """Two before each of eight logins within the window."""
        owner = uuid4()
        day = [
            e
            for n in range(8)
            for e in (
                door.failed(owner, ATTACKER, after=n * 30 * MINUTE),
                door.failed(owner, ATTACKER, after=n * 30 * MINUTE + SECOND),
                *door.entered(owner, ATTACKER, after=n * 30 * MINUTE + 2 * SECOND),
            )
        ]
        new_phone = door.entered(owner, "198.18.0.9", new_device=True, after=4 * 60 * MINUTE)
        await watch.see([*day, *new_phone])

        assert await watch.alerts() == []

    async def test_unverified_refusals_do_not_count(self, watch: Watch, door: Door) -> None:
        """Whoever presses the button again while locked has guessed nothing."""
        owner = uuid4()
        pressed = [
            door.failed(owner, ATTACKER, reason="account_locked", after=n * SECOND)
            for n in range(20)
        ]
        await watch.see([*pressed, *door.entered(owner, ATTACKER, after=31 * MINUTE)])

        assert await watch.alerts() == []


class TestReuse:
    """A spent refresh token came back."""

    async def test_is_an_alert_for_the_user_at_once(self, watch: Watch, door: Door) -> None:
        """One per incident; nobody can tell whose address it is."""
        victim = uuid4()
        await watch.see([door.reused(victim, ATTACKER, after=n * MINUTE) for n in range(3)])

        (alert,) = await watch.alerts()
        assert (alert.rule, alert.user_id) == ("refresh_token_reuse", victim)
        assert alert.attempts == 3
        assert (len(await watch.told()), await watch.blocked()) == (1, [])


class TestSeveral:
    """Attacks at once."""

    async def test_are_told_apart(self, watch: Watch, door: Door) -> None:
        """By source, by account."""
        first, second = uuid4(), uuid4()
        attacks = [
            *spraying(door),
            *spraying(door, "203.0.113.8"),
            *guessing(door, first, addresses=12),
            *guessing(door, second, addresses=12),
            door.reused(first, ATTACKER),
        ]
        await watch.see(attacks)

        assert sorted(await watch.rules()) == [
            "account_guessing",
            "account_guessing",
            "password_spraying",
            "password_spraying",
            "refresh_token_reuse",
        ]

    async def test_tried_accounts_of_a_spraying_are_not_guessed_at(
        self, watch: Watch, door: Door
    ) -> None:
        """Twelve addresses that try the same twenty accounts are no twenty guesses."""
        names = [f"name-{n}" for n in range(20)]
        tries = [
            door.failed(name, f"203.0.113.{s}", after=(s * 20 + n) * SECOND)
            for s in range(12)
            for n, name in enumerate(names)
        ]
        await watch.see(tries)

        assert "account_guessing" not in await watch.rules()


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
