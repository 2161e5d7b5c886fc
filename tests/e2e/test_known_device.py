"""An account attacked from 100 addresses while its owner logs in from the known device (D6)."""

from collections.abc import Callable

from chassis.testing import eventually
from tests.e2e.alarms import alerts_of, subjects
from tests.platforms.attacker import Attacker
from tests.platforms.person import Person
from tests.platforms.platform import Platform

ADDRESSES = 100


class TestAnAttackedAccount:
    """With all limits at their defaults."""

    async def test_lets_its_owner_in_and_nobody_else(
        self, platform: Platform, person: Person, somebody: Callable[[], Person], admin: Person
    ) -> None:
        """The known device passes at once, the session goes on, strangers are locked out."""
        await person.join()
        device = person.tokens["device_token"]
        seen: list[tuple[int, str]] = []
        async with Attacker(platform.base_url) as attacker:
            for number in range(ADDRESSES):
                answer = await attacker.login(
                    person.username, f"Guess-{number}!", address=f"203.0.113.{number + 1}"
                )
                seen.append((answer.status_code, answer.json()["code"]))
                if number == ADDRESSES // 2:
                    await self._owner_is_served(person, device)

        assert seen[:5] == [(401, "invalid_credentials")] * 5
        assert set(seen[5:]) == {(403, "account_locked")}
        stranger = somebody()
        stranger.username = person.username
        locked = await stranger.login(person.password)
        assert (locked.status_code, locked.json()["code"]) == (403, "account_locked")
        await self._owner_is_served(person, device)

        (alert,) = await alerts_of(admin, user_id=person.user_id)
        assert (alert["rule"], alert["blocked"]) == ("account_guessing", 0)
        assert alert["address_count"] >= 10

        async def told() -> bool:
            mails = await subjects(platform, person.email)
            return mails.count("Suspicious activity on your account") == 1

        await eventually(told, within=20)

    async def _owner_is_served(self, person: Person, device: str) -> None:
        refreshed = await person.refresh()
        assert refreshed.status_code == 200, refreshed.text
        body = {
            "username": person.username,
            "password": person.password,
            "device_token": device,
        }
        answer = await person.call("POST", "/api/v1/auth/login", body)
        assert answer.status_code == 200, answer.text
        person.tokens = answer.json()
