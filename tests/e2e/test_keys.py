"""Signing keys by hand through the gateway, in both shapes.

The bound is one second after the commit; bench/key_rotation_drill.py measures it, here a loaded
machine has some seconds more.
"""

from typing import Any

import httpx
import pytest

from chassis.testing import eventually
from tests.platforms.person import Person
from tests.platforms.platform import Platform

KEYS = "/api/v1/admin/keys"
JWKS = "/.well-known/jwks.json"
SOON = 5.0


async def list_keys(admin: Person) -> dict[str, Any]:
    """Return what an administrator sees."""
    answer = await admin.call("GET", KEYS, token=admin.access_token)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def active(admin: Person) -> str:
    """Return the name of the key that signs."""
    (kid,) = [key["kid"] for key in (await list_keys(admin))["keys"] if key["state"] == "active"]
    return str(kid)


async def revoke_active(admin: Person) -> dict[str, Any]:
    """Revoke the key that signs; return the answer."""
    path = f"{KEYS}/{await active(admin)}/revoke"
    answer = await admin.call("POST", path, {"reason": "a drill"}, token=admin.access_token)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def published(person: Person) -> list[dict[str, Any]]:
    """Return the JWKS."""
    return list((await person.call("GET", JWKS)).json()["keys"])


async def stale(answer: httpx.Response) -> bool:
    """Say whether a token was refused because it is to be refreshed."""
    return answer.status_code == 401 and answer.json()["code"] == "token_stale"


async def entries(admin: Person, type_: str, kid: str) -> list[dict[str, Any]]:
    """Return what the audit log has of one type about one key."""
    path = f"/api/v1/admin/audit?type={type_}&limit=100"
    answer = await admin.call("GET", path, token=admin.access_token)
    return [item for item in answer.json()["items"] if item["data"]["kid"] == kid]


@pytest.fixture
async def joined(person: Person) -> Person:
    """Return somebody who has just logged in."""
    await person.join()
    return person


class TestRevoke:
    """An emergency."""

    async def test_kills_every_access_token_and_no_session(
        self, joined: Person, admin: Person
    ) -> None:
        """Everybody's next refresh gives a token of the successor; the administrator's too."""
        before = await joined.me()

        revoked = await revoke_active(admin)

        for person in (joined, admin):

            async def refused(person: Person = person) -> bool:
                return await stale(await person.me())

            await eventually(refused, within=SOON)
            assert (await person.refresh()).status_code == 200
            assert (await person.me()).status_code == 200
        assert before.status_code == 200
        assert [key["kid"] for key in await published(joined)].count(revoked["kid"]) == 0
        assert await active(admin) == revoked["successor"]
        assert (await list_keys(admin))["revoked"][0]["reason"] == "a drill"

    async def test_stands_in_the_audit_log_with_reason_and_actor(self, admin: Person) -> None:
        """And so does the key that signs instead."""
        revoked = await revoke_active(admin)
        await admin.refresh()

        async def told() -> list[dict[str, Any]]:
            return await entries(admin, "token.signing_key.revoked.v1", revoked["kid"])

        (entry,) = await eventually(told)
        assert entry["data"]["reason"] == "a drill"
        assert entry["data"]["successor_kid"] == revoked["successor"]
        assert entry["actor"] == (await admin.me()).json()["id"]

    async def test_a_browser_goes_on_after_a_refresh(
        self, platform: Platform, joined: Person, admin: Person
    ) -> None:
        """With the cookies it has; logging out works without one, too."""
        async with platform.browser(joined) as refreshing, platform.browser(joined) as leaving:
            await refreshing.login()
            await revoke_active(admin)

            async def refused() -> bool:
                return await stale(await refreshing.me())

            await eventually(refused, within=SOON)
            refreshed = await refreshing.refresh()
            me = await refreshing.me()
            await admin.refresh()
            await leaving.login()
            await revoke_active(admin)
            left = await leaving.logout()

        assert (refreshed.status_code, me.status_code, left.status_code) == (200, 200, 200)
        assert not {"access", "refresh"} & leaving.cookies().keys()


class TestRotate:
    """In stages."""

    async def test_publishes_a_successor_and_nobody_notices(
        self, joined: Person, admin: Person
    ) -> None:
        """Asked twice it answers the same, and the old key signs meanwhile."""
        signs = await active(admin)

        answers = [
            await admin.call("POST", f"{KEYS}/rotate", token=admin.access_token) for _ in range(2)
        ]

        wanted = answers[0].json()
        assert [answer.status_code for answer in answers] == [202, 202]
        assert answers[0].text == answers[1].text
        assert wanted["kid"] == signs
        assert {signs, wanted["successor"]} <= {key["kid"] for key in await published(joined)}
        assert not {"d", "p", "q", "k"} & set().union(*await published(joined))
        assert (await joined.refresh()).status_code == 200
        assert await active(admin) == signs

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", KEYS), ("POST", f"{KEYS}/rotate"), ("POST", f"{KEYS}/x/revoke")],
    )
    async def test_is_for_administrators(self, joined: Person, method: str, path: str) -> None:
        """As is seeing the keys, and revoking one."""
        answer = await joined.call(method, path, token=joined.access_token)

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
