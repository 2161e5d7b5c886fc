"""Scripted attacks at the gateway: one alert, one event, one mail, and a block where one is due."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from chassis.testing import eventually
from tests.e2e.alarms import alerts_of, events_of, mails_about, subjects
from tests.platforms.attacker import Attacker
from tests.platforms.five import FiveProcesses
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.single import SingleProcess

SECURITY = "security@example.com"
SETTINGS = {
    **{f"RATE_LIMIT_{name}": "100000/minute" for name in ("REGISTER", "LOGIN", "PER_IP")},
    "MAX_LOGIN_ATTEMPTS": "50",
    "MAX_LOGIN_FAILURES_PER_SOURCE": "10000",
    "SECURITY_EMAIL": SECURITY,
    "IP_ALLOWLIST": "203.0.113.240/28",
}
NOTICE = "Suspicious activity on your account"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Start the platform in one process, with limits out of an attacker's way."""
    running = SingleProcess(tmp_path_factory.mktemp("attacked"), SETTINGS)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def attacker(attacked: Platform) -> AsyncIterator[Attacker]:
    """Give an attacker."""
    async with Attacker(attacked.base_url) as somebody:
        yield somebody


@pytest.fixture
async def guard(attacked: Platform) -> AsyncIterator[Person]:
    """Give an administrator who watches."""
    async with attacked.admin() as administrator:
        yield administrator


@pytest.fixture
async def victim(attacked: Platform) -> AsyncIterator[Person]:
    """Give somebody with an account and a session."""
    async with attacked.person() as person:
        await person.join()
        yield person


async def spray(attacker: Attacker, address: str, *, accounts: int = 17) -> None:
    """Try one password at many names."""
    for number in range(accounts):
        await attacker.login(f"{address}-{number}", "Spring-2026!", address=address)


async def is_blocked(attacker: Attacker, address: str) -> bool:
    """Say whether the gateway refuses *address*."""
    return await attacker.knock(address=address) == (403, "address_blocked")


async def assert_told_once(
    platform: Platform, admin: Person, alert: dict[str, Any], *, security_mails: int
) -> None:
    """Hold that the incident is one event, and one mail to the right reader."""
    (event,) = await events_of(admin, alert)
    assert event["data"]["rule"] == alert["rule"]
    if security_mails:
        assert len(await mails_about(platform, SECURITY, alert)) == security_mails
    else:
        mails = await platform.mailbox.mails(SECURITY)
        assert not any(alert["id"] in mail.text for mail in mails)


class TestAnAddressAtWork:
    """The cause is an address."""

    async def test_spraying_is_told_and_blocked(
        self, attacked: Platform, attacker: Attacker, guard: Person
    ) -> None:
        """Others are served as before; the administrator settles the alert."""
        await spray(attacker, "203.0.113.7")
        (alert,) = await alerts_of(guard, address="203.0.113.7")

        assert (alert["rule"], alert["address"]) == ("password_spraying", "203.0.113.7/32")
        await assert_told_once(attacked, guard, alert, security_mails=1)
        await eventually(lambda: is_blocked(attacker, "203.0.113.7"), within=5)
        refused = await attacker.login("root-admin", "Spring-2026!", address="203.0.113.7")
        assert (refused.status_code, refused.json()["code"]) == (403, "address_blocked")
        assert await attacker.knock(address="203.0.113.8") == (200, None)

        path = f"/api/v1/admin/alerts/{alert['id']}"
        for what, status in (("acknowledge", "acknowledged"), ("close", "closed")):
            answer = await guard.call("POST", f"{path}/{what}", token=guard.access_token)
            assert (answer.status_code, answer.json()["status"]) == (200, status)

    async def test_from_a_protected_network_is_told_and_not_blocked(
        self, attacked: Platform, attacker: Attacker, guard: Person
    ) -> None:
        """Whom the operator named is never shut out (D26)."""
        await spray(attacker, "203.0.113.241")
        (alert,) = await alerts_of(guard, address="203.0.113.241")

        assert (alert["rule"], alert["blocked"]) == ("password_spraying", 0)
        await assert_told_once(attacked, guard, alert, security_mails=1)
        assert await attacker.knock(address="203.0.113.241") == (200, None)

    async def test_stuffing_from_many_addresses_is_one_campaign(
        self, attacked: Platform, attacker: Attacker, guard: Person
    ) -> None:
        """Each alone would be too little; all of them are blocked."""
        addresses = [f"203.0.113.{number}" for number in range(100, 111)]
        for number in range(5):
            for address in addresses:
                await attacker.login(
                    f"leaked-{address}-{number}", "hunter2-Hunter", address=address, agent="stuff/2"
                )
        (alert,) = await alerts_of(guard, rule="credential_stuffing")

        assert alert["address"] is alert["user_id"] is None
        await assert_told_once(attacked, guard, alert, security_mails=1)
        for address in addresses:
            await eventually(partial(is_blocked, attacker, address), within=5)
        assert len(await alerts_of(guard, rule="credential_stuffing")) == 1


class TestAnAccountUnderAttack:
    """One user is concerned, and hears of it."""

    async def test_guessing_from_many_addresses(
        self, attacked: Platform, attacker: Attacker, guard: Person, victim: Person
    ) -> None:
        """No address is the cause: none is blocked."""
        for number in range(12):
            await attacker.login(victim.username, "guess", address=f"198.51.100.{number + 1}")
        (alert,) = await alerts_of(guard, user_id=victim.user_id)

        assert (alert["rule"], alert["severity"]) == ("account_guessing", "medium")
        await assert_told_once(attacked, guard, alert, security_mails=0)
        await self._hears(attacked, victim, NOTICE)
        assert await attacker.knock(address="198.51.100.1") == (200, None)

    async def test_a_guess_that_came_true(
        self, attacked: Platform, attacker: Attacker, guard: Person, victim: Person
    ) -> None:
        """Ten wrong passwords, then the right one."""
        for _ in range(10):
            await attacker.login(victim.username, "guess", address="198.51.100.50")
        success = await attacker.login(victim.username, victim.password, address="198.51.100.50")
        assert success.status_code == 200
        (alert,) = await alerts_of(guard, user_id=victim.user_id)

        assert (alert["rule"], alert["severity"]) == ("success_after_failures", "critical")
        assert alert["address"] == "198.51.100.50/32"
        await assert_told_once(attacked, guard, alert, security_mails=0)
        await self._hears(attacked, victim, NOTICE)

    async def test_a_refresh_token_that_came_back(
        self, attacked: Platform, guard: Person, victim: Person
    ) -> None:
        """Two generations later: somebody else holds it."""
        stolen = victim.tokens["refresh_token"]
        for _ in range(2):
            assert (await victim.refresh()).status_code == 200
        assert (await victim.refresh(stolen)).status_code == 401
        (alert,) = await alerts_of(guard, user_id=victim.user_id)

        assert (alert["rule"], alert["attempts"]) == ("refresh_token_reuse", 1)
        await assert_told_once(attacked, guard, alert, security_mails=0)
        await self._hears(attacked, victim, "We ended one of your sessions")
        assert NOTICE not in await subjects(attacked, victim.email)

    async def test_typing_errors_are_no_attack(self, guard: Person, victim: Person) -> None:
        """Four wrong ones and the right one; two tabs refresh at once."""
        for _ in range(4):
            assert (await victim.login("a typing error")).status_code == 401
        assert (await victim.login()).status_code == 200
        token = victim.tokens["refresh_token"]
        assert [(await victim.refresh(token)).status_code for _ in range(2)] == [200, 200]
        await self._is_recorded(guard, victim)

        path = f"/api/v1/admin/alerts?user_id={victim.user_id}"
        answer = await guard.call("GET", path, token=guard.access_token)
        assert answer.json()["items"] == []

    async def _hears(self, platform: Platform, person: Person, subject: str) -> None:
        async def once() -> bool:
            return (await subjects(platform, person.email)).count(subject) == 1

        await eventually(once, within=20)

    async def _is_recorded(self, guard: Person, person: Person) -> None:
        path = f"/api/v1/admin/audit?target={person.user_id}&type=token.token.refreshed.v1"

        async def there() -> bool:
            answer = await guard.call("GET", path, token=guard.access_token)
            return bool(answer.json()["items"])

        await eventually(there, within=20)


class TestStatistics:
    """What happened, in numbers."""

    async def test_count_what_people_did(self, guard: Person, victim: Person) -> None:
        """For administrators alone."""
        refused = await victim.call("GET", "/api/v1/admin/stats", token=victim.access_token)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")

        async def counted() -> bool:
            answer = await guard.call("GET", "/api/v1/admin/stats", token=guard.access_token)
            totals, current = answer.json()["totals"], answer.json()["current"]
            counted = (totals["registrations"], totals["logins"], current["active_sessions"])
            return all(count >= least for count, least in zip(counted, (1, 2, 2), strict=True))

        await eventually(counted, within=20)


@pytest.mark.real
class TestWhileAuditIsAway:
    """Five processes; audit is killed, attacked past, and started again (F-18)."""

    @pytest.fixture
    def five(self, request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[FiveProcesses]:
        """Start the five processes, with limits out of an attacker's way."""
        running = FiveProcesses(tmp_path, request.getfixturevalue("parts"), SETTINGS)
        running.start()
        yield running
        running.stop()

    async def test_alarms_are_late_and_not_lost(self, five: FiveProcesses) -> None:
        """Nothing of the attack was seen by audit while it happened."""
        async with five.admin() as admin, Attacker(five.base_url) as attacker:
            five.processes["audit"].kill()
            await spray(attacker, "203.0.113.7", accounts=20)
            assert await attacker.knock(address="203.0.113.7") == (200, None)
            five.processes["audit"].start()
            five.wait_until_ready("audit")

            (alert,) = await alerts_of(admin, address="203.0.113.7")
            await assert_told_once(five, admin, alert, security_mails=1)
            await eventually(lambda: is_blocked(attacker, "203.0.113.7"), within=5)

            five.processes["audit"].kill()
            five.processes["audit"].start()
            five.wait_until_ready("audit")
            (same,) = await alerts_of(admin, address="203.0.113.7")
            assert (same["id"], same["rule"]) == (alert["id"], "password_spraying")
            await assert_told_once(five, admin, alert, security_mails=1)
