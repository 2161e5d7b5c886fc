"""Lockout: guesses against one account, from one source, and around the owner (D6, D7)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest

from chassis.ids import uuid7
from chassis.testing import FixedClock
from contracts.identity import LoginFailed, UserLocked
from services.identity.hashing import PasswordHasher, Verdict
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import World, at_once

Worlds = Callable[..., AbstractAsyncContextManager[World]]


async def codes(world: World, name: str, password: str, count: int) -> list[str]:
    """Log in *count* times, each from an address of its own, and return what was said."""
    answers = [
        await world.login(name, password, address=f"203.0.113.{number}") for number in range(count)
    ]
    return [answer.json().get("code", "ok") for answer in answers]


class TestAccountLock:
    """Five failures lock the account for half an hour."""

    @pytest.mark.parametrize("name", ["ada", "nobody"])
    async def test_known_and_unknown_names_lock_alike(self, name: str, world: World) -> None:
        """The sixth attempt is refused unverified, with the time to wait."""
        await world.register()
        said = await codes(world, name, "wrong", 7)
        assert said == ["invalid_credentials"] * 5 + ["account_locked"] * 2
        answer = await world.login(name, PASSWORD)
        assert (answer.status_code, answer.headers["Retry-After"]) == (403, "1800")

    async def test_unlocks_by_itself(self, world: World, clock: FixedClock) -> None:
        """A second too early it is locked; then the right password opens."""
        await world.register()
        await codes(world, "ada", "wrong", 5)
        clock.advance(timedelta(minutes=30) - timedelta(seconds=1))
        answer = await world.login("ada", PASSWORD)
        assert (answer.status_code, answer.headers["Retry-After"]) == (403, "1")
        clock.advance(timedelta(seconds=1))
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_is_told_once_with_its_end(self, world: World, clock: FixedClock) -> None:
        """Cause and end, and a new version; nothing urgent."""
        ada = await world.register()
        await codes(world, "ada", "wrong", 8)
        [event] = await world.events(UserLocked)
        assert event.data["cause"] == "failures"
        assert (event.subject, event.subjectversion) == (str(ada.id), 3)
        until = clock.now() + timedelta(minutes=30)
        assert await world.value("SELECT locked_until FROM users") == until
        urgent = "SELECT urgent FROM outbox WHERE routing_key = :type"
        assert await world.value(urgent, type=UserLocked.type) is False

    async def test_every_refusal_is_written_down(self, world: World) -> None:
        """For the owner, for administrators, and as an event."""
        await world.register()
        await codes(world, "ada", "wrong", 6)
        reasons = [event.data["reason"] for event in await world.events(LoginFailed)]
        assert reasons == ["invalid_credentials"] * 5 + ["account_locked"]
        assert await world.value("SELECT count(*) FROM failed_login_attempts") == 6
        assert await world.value("SELECT count(*) FROM login_history") == 6

    async def test_a_success_forgets_the_failures(self, world: World) -> None:
        """Four wrong, one right, four wrong: no lock."""
        await world.register()
        for _ in range(3):
            await codes(world, "ada", "wrong", 4)
            assert (await world.login("ada", PASSWORD)).status_code == 200

    @pytest.mark.parametrize("name", ["ada", "nobody"])
    async def test_fifty_parallel_guesses_are_verified_five_times(
        self, name: str, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The slot is reserved before the hash: there is never a sixth verification."""
        await world.register()
        verified: list[str] = []
        original = PasswordHasher.verify

        def spy(hasher: PasswordHasher, stored: str, password: str) -> Verdict:
            verified.append(password)
            return original(hasher, stored, password)

        monkeypatch.setattr(PasswordHasher, "verify", spy)
        answers = await at_once(
            50, lambda n: world.login(name, f"wrong {n}", address=f"203.0.113.{n}")
        )
        assert len(verified) == 5
        assert {answer.status_code for answer in answers} <= {401, 403, 429}
        assert [answer.status_code for answer in answers].count(401) == 5
        assert (await world.login(name, PASSWORD)).json()["code"] == "account_locked"

    async def test_a_reservation_nobody_settled_counts_as_a_failure(
        self, world: World, clock: FixedClock
    ) -> None:
        """A crash in mid-verification gives nobody free guesses."""
        ada = await world.register()
        lost = [uuid7(clock) for _ in range(5)]
        await world.execute(
            "INSERT INTO login_counters (key, user_id, pending, touched_at)"
            " VALUES (:key, :id, :lost, now())",
            key=f"user:{ada.id}",
            id=ada.id,
            lost=lost,
        )
        assert (await world.login("ada", PASSWORD)).status_code == 429
        clock.advance(timedelta(seconds=31))
        assert (await world.login("ada", PASSWORD)).json()["code"] == "account_locked"
        assert len(await world.events(UserLocked)) == 1

    async def test_a_hundred_failures_in_a_row_leave_only_the_reset(
        self, world: World, clock: FixedClock
    ) -> None:
        """However long one waits, the password is dead (N-12)."""
        ada = await world.register()
        for counted in (0, 5, 90, 95):
            # What lies between is eighty more of the same.
            await world.execute("UPDATE login_counters SET consecutive = :n", n=counted)
            assert set(await codes(world, "ada", "wrong", 5)) == {"invalid_credentials"}
            clock.advance(timedelta(minutes=31))
        assert (await world.login("ada", PASSWORD)).json()["code"] == "account_locked"
        assert (await world.events(UserLocked))[-1].data["locked_until"] is None
        token = await world.reset_token(ada.email)
        body = {"token": token, "new_password": NEW_PASSWORD}
        assert (await world.post("/api/v1/auth/password-reset/verify", body)).status_code == 200
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200


class TestSource:
    """One address fails at many accounts."""

    async def test_is_refused_after_its_limit_and_nobody_else(self, worlds: Worlds) -> None:
        """429 for that source only, whatever the password."""
        async with worlds(max_login_failures_per_source=10) as world:
            await world.register()
            said = [
                (await world.login(f"name{n}", "wrong", address="203.0.113.9")).status_code
                for n in range(12)
            ]
            assert said == [401] * 10 + [429] * 2
            refused = await world.login("ada", PASSWORD, address="203.0.113.9")
            assert refused.json()["code"] == "too_many_attempts"
            assert refused.headers["Retry-After"] == "900"
            assert (await world.login("ada", PASSWORD, address="203.0.113.10")).status_code == 200

    async def test_its_window_slides(self, worlds: Worlds, clock: FixedClock) -> None:
        """Each failure counts for fifteen minutes, not until some clock strikes."""
        async with worlds(max_login_failures_per_source=2) as world:
            await world.login("a-name", "wrong")
            clock.advance(timedelta(minutes=10))
            await world.login("b-name", "wrong")
            refused = await world.login("c-name", "wrong")
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
            clock.advance(timedelta(minutes=5, seconds=1))
            assert (await world.login("c-name", "wrong")).status_code == 401
            assert (await world.login("d-name", "wrong")).status_code == 429

    async def test_an_ipv6_network_is_one_source(self, worlds: Worlds) -> None:
        """A /64 has more addresses than anybody can block."""
        async with worlds(max_login_failures_per_source=3) as world:
            said = [
                (await world.login(f"name{n}", "wrong", address=f"2001:db8::{n}")).status_code
                for n in range(1, 5)
            ]
            assert said == [401, 401, 401, 429]

    async def test_a_success_does_not_buy_more_guesses(self, worlds: Worlds) -> None:
        """An attacker's own account resets nothing (X-05)."""
        async with worlds(max_login_failures_per_source=4) as world:
            await world.register()
            said = []
            for number in range(5):
                said.append((await world.login(f"name{number}", "wrong")).status_code)
                await world.login("ada", PASSWORD)
            assert said == [401] * 4 + [429]

    async def test_parallel_guesses_stop_near_the_limit(self, worlds: Worlds) -> None:
        """Once a source has failed, what is in flight counts too."""
        async with worlds(max_login_failures_per_source=10) as world:
            await world.login("name", "wrong")
            answers = await at_once(50, lambda n: world.login(f"name{n}", "wrong"))
            assert [answer.status_code for answer in answers].count(401) == 9

    async def test_a_sixth_guess_after_a_refusal_costs_nobody_a_slot(self, worlds: Worlds) -> None:
        """What the source is refused is not counted for the account."""
        async with worlds(max_login_failures_per_source=1) as world:
            await world.register()
            await world.login("ada", "wrong", address="203.0.113.9")
            for _ in range(10):
                await world.login("ada", "wrong", address="203.0.113.9")
            assert (await world.login("ada", PASSWORD)).status_code == 200


class TestKnownDevice:
    """The owner's browser is let through a lock that strangers caused (X-03)."""

    async def test_passes_an_attack_from_a_hundred_addresses(self, world: World) -> None:
        """Everybody else is locked out meanwhile."""
        await world.register()
        device = (await world.login("ada", PASSWORD)).json()["device_token"]
        await codes(world, "ada", "wrong", 100)
        assert (await world.login("ada", PASSWORD)).json()["code"] == "account_locked"
        answer = await world.login("ada", PASSWORD, device_token=device)
        assert answer.status_code == 200
        assert (await world.login("ada", PASSWORD)).json()["code"] == "account_locked"

    async def test_has_five_guesses_of_its_own(self, world: World) -> None:
        """A stolen device token is no free pass, and locks only itself."""
        await world.register()
        device = (await world.login("ada", PASSWORD)).json()["device_token"]
        said = [
            (await world.login("ada", "wrong", device_token=device)).json()["code"]
            for _ in range(6)
        ]
        assert said == ["invalid_credentials"] * 5 + ["account_locked"]
        assert await world.events(UserLocked) == []
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_keeps_its_identity_from_login_to_login(self, world: World) -> None:
        """The same day gives the same token."""
        await world.register()
        device = (await world.login("ada", PASSWORD)).json()["device_token"]
        again = (await world.login("ada", PASSWORD, device_token=device)).json()["device_token"]
        assert again == device

    async def test_is_void_after_a_reset(self, world: World) -> None:
        """A new password makes every browser a stranger."""
        ada = await world.register()
        device = (await world.login("ada", PASSWORD)).json()["device_token"]
        body = {"token": await world.reset_token(ada.email), "new_password": NEW_PASSWORD}
        await world.post("/api/v1/auth/password-reset/verify", body)
        await codes(world, "ada", "wrong", 5)
        answer = await world.login("ada", NEW_PASSWORD, device_token=device)
        assert answer.json()["code"] == "account_locked"

    async def test_of_somebody_else_is_nothing(self, world: World) -> None:
        """An attacker's own device does not open another's lock."""
        await world.register("ada")
        await world.register("eve")
        device = (await world.login("eve", PASSWORD)).json()["device_token"]
        await codes(world, "ada", "wrong", 5)
        answer = await world.login("ada", PASSWORD, device_token=device)
        assert answer.json()["code"] == "account_locked"

    async def test_does_not_escape_the_hundred(self, world: World, clock: FixedClock) -> None:
        """An exhausted password is dead on every device."""
        await world.register()
        device = (await world.login("ada", PASSWORD)).json()["device_token"]
        await codes(world, "ada", "wrong", 1)
        await world.execute("UPDATE login_counters SET consecutive = 100")
        answer = await world.login("ada", PASSWORD, device_token=device)
        assert answer.json()["code"] == "account_locked"
        clock.advance(timedelta(days=2))
        answer = await world.login("ada", PASSWORD, device_token=device)
        assert answer.json()["code"] == "account_locked"
