"""What administrators do to the sessions of others, and how soon: in both shapes.

The bound is one second after the commit (D12); bench/propagation.py measures it, here a loaded
machine has some seconds more.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from chassis.testing import eventually
from contracts.denylist import denied_key
from tests.platforms.five import Parts
from tests.platforms.person import NEW_PASSWORD, Person
from tests.platforms.platform import Platform

USERS = "/api/v1/admin/users"
SOON = 5.0


async def give_roles(admin: Person, person: Person, *roles: str) -> None:
    """Set the roles of *person*."""
    path = f"{USERS}/{person.user_id}/roles"
    answer = await admin.call("PUT", path, {"roles": list(roles)}, token=admin.access_token)
    assert answer.is_success, answer.text


async def list_users(person: Person) -> httpx.Response:
    """Ask for what only administrators and moderators may see, with the present token."""
    return await person.call("GET", USERS, token=person.access_token)


async def end_sessions(actor: Person, user_id: str) -> httpx.Response:
    """Have *actor* end the sessions of a user."""
    return await actor.call("DELETE", f"{USERS}/{user_id}/sessions", token=actor.access_token)


async def is_refused(person: Person, code: str) -> bool:
    """Say whether the present access token is refused with *code*."""
    answer = await person.me()
    return answer.status_code == 401 and answer.json()["code"] == code


async def end_reasons(admin: Person, user_id: str) -> list[tuple[str, str]]:
    """Return reason and actor of every ended session of a user in the audit log."""
    path = f"/api/v1/admin/audit?target={user_id}&type=token.session.ended.v1"
    answer = await admin.call("GET", path, token=admin.access_token)
    items: list[dict[str, Any]] = answer.json()["items"]
    return [(item["data"]["reason"], item["actor"]) for item in items]


@pytest.fixture
async def joined(person: Person) -> Person:
    """Return somebody who has just logged in for the first time."""
    await person.join()
    return person


@pytest.fixture
async def moderator(platform: Platform, admin: Person) -> AsyncIterator[Person]:
    """Return a moderator, logged in."""
    async with platform.person() as somebody:
        await somebody.join()
        await give_roles(admin, somebody, "moderator")
        assert (await somebody.login()).is_success
        assert (await list_users(somebody)).is_success
        yield somebody


class TestRoles:
    """Changed roles reach tokens that were issued before."""

    async def test_a_demoted_administrators_token_is_refused(
        self, admin: Person, joined: Person
    ) -> None:
        """`token_stale`, whatever it asks for; a refresh gives the token of a plain user."""
        await give_roles(admin, joined, "admin")
        await eventually(lambda: is_refused(joined, "token_stale"), within=SOON)
        assert (await joined.refresh()).is_success
        assert (await list_users(joined)).is_success

        await give_roles(admin, joined)

        await eventually(lambda: is_refused(joined, "token_stale"), within=SOON)
        assert (await list_users(joined)).status_code == 401
        assert (await joined.refresh()).is_success
        assert (await list_users(joined)).status_code == 403
        assert (await joined.me()).is_success


class TestForcedReset:
    """POST /api/v1/admin/users/{id}/force-password-reset."""

    async def test_it_ends_the_sessions(self, admin: Person, joined: Person) -> None:
        """Both tokens are dead and the password opens nothing, until the mailed link was used."""
        path = f"{USERS}/{joined.user_id}/force-password-reset"
        answer = await admin.call("POST", path, token=admin.access_token)

        assert answer.is_success, answer.text
        await eventually(lambda: is_refused(joined, "token_revoked"), within=SOON)
        assert (await joined.refresh()).status_code == 401
        login = await joined.login()
        assert (login.status_code, login.json()["code"]) == (403, "password_reset_required")
        assert (await joined.reset()).is_success
        assert (await joined.login(NEW_PASSWORD)).is_success
        assert (await joined.me()).is_success


class TestEndingSessions:
    """DELETE /api/v1/admin/users/{id}/sessions."""

    async def test_an_administrator_ends_them(self, admin: Person, joined: Person) -> None:
        """The user may log in again; the log names the administrator."""
        who = (await admin.me()).json()["id"]

        answer = await end_sessions(admin, joined.user_id)

        assert (answer.status_code, answer.content) == (204, b"")
        await eventually(lambda: is_refused(joined, "token_revoked"), within=SOON)
        assert (await joined.refresh()).status_code == 401
        assert (await joined.login()).is_success

        async def recorded() -> bool:
            return ("admin", who) in await end_reasons(admin, joined.user_id)

        await eventually(recorded, within=20)

    async def test_moderators_only_those_of_plain_users(
        self, admin: Person, moderator: Person, joined: Person
    ) -> None:
        """The sessions of administrators are not theirs to end, and nobody is told they exist."""
        boss = (await admin.me()).json()["id"]

        refused = await end_sessions(moderator, boss)
        ended = await end_sessions(moderator, joined.user_id)

        assert (refused.status_code, ended.status_code) == (404, 204)
        await eventually(lambda: is_refused(joined, "token_revoked"), within=SOON)
        assert (await admin.me()).is_success

    async def test_users_may_not(self, joined: Person) -> None:
        """Not even their own this way."""
        assert (await end_sessions(joined, joined.user_id)).status_code == 403


@pytest.mark.real
@pytest.mark.parametrize("platform", ["five processes"], indirect=True)
class TestFlush:
    """FLUSHALL after a logout."""

    @pytest.mark.usefixtures("platform")
    async def test_the_token_stays_dead(self, parts: Parts, joined: Person) -> None:
        """Gateways know it by themselves, and Redis is told again."""
        key = denied_key("sid", joined.tokens["session_id"])
        async with Redis.from_url(parts.redis_url) as client:
            await joined.call("POST", "/api/v1/auth/logout", {}, token=joined.access_token)
            await eventually(lambda: client.exists(key), within=SOON)
            await eventually(lambda: is_refused(joined, "token_revoked"), within=SOON)

            await client.flushall()

            assert await is_refused(joined, "token_revoked")
            await eventually(lambda: client.exists(key), within=SOON)
            assert await is_refused(joined, "token_revoked")
        assert (await joined.refresh()).status_code == 401
