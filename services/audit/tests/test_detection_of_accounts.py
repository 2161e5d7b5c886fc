"""Attacks on accounts, recorded and judged on a real database: one incident, one alert."""

from uuid import uuid4

import pytest

from chassis.testing.servers import PostgresServer
from services.audit.tests.attacks import ATTACKER, MINUTE, SECOND, guessing, spraying
from services.audit.tests.watch import Door, Watch


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


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
