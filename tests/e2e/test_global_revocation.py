"""Everybody is logged out through the gateway, in both shapes.

The bound is one second after the commit; here a loaded machine has some seconds more.
"""

from typing import Any

from chassis.testing import eventually
from tests.platforms.person import Person
from tests.platforms.platform import Platform

REVOKE_ALL = "/api/v1/admin/revoke-all"
BODY = {"reason": "a drill"}
SOON = 5.0


async def revoke_all(admin: Person) -> None:
    """Log everybody out."""
    answer = await admin.call("POST", REVOKE_ALL, BODY, token=admin.access_token)
    assert answer.status_code == 200, answer.text


async def is_refused(person: Person) -> bool:
    """Say whether an access token is refused."""
    return (await person.me()).status_code == 401


class TestRevokeAll:
    """What people meet."""

    async def test_nobody_is_logged_in_any_more(self, person: Person, admin: Person) -> None:
        """Neither access nor refresh tokens are good, the administrator's included."""
        await person.join()
        assert (await person.me()).status_code == 200

        await revoke_all(admin)

        for each in (person, admin):

            async def refused(each: Person = each) -> bool:
                return await is_refused(each)

            await eventually(refused, within=SOON)
            assert (await each.refresh()).status_code == 401
            assert (await each.login()).status_code == 200
            assert (await each.me()).status_code == 200
            assert (await each.refresh()).status_code == 200

    async def test_a_browser_is_sent_to_the_login(
        self, platform: Platform, person: Person, admin: Person
    ) -> None:
        """Its cookies are taken back by the refresh that fails."""
        await person.join()
        async with platform.browser(person) as browser:
            await browser.login()
            await revoke_all(admin)

            refreshed = await browser.refresh()

            assert refreshed.status_code == 401
            assert not {"access", "refresh"} & browser.cookies().keys()

    async def test_stands_in_the_audit_log(self, person: Person, admin: Person) -> None:
        """With the reason, who asked, and each session that it ended."""
        await person.join()
        asked_by = (await admin.me()).json()["id"]
        await revoke_all(admin)
        await admin.login()

        async def told() -> list[dict[str, Any]]:
            return await _entries(admin, "token.sessions.revoked.v1")

        async def ended() -> bool:
            entries = await _entries(admin, "token.session.ended.v1")
            return any(
                entry["data"]["user_id"] == person.user_id
                and entry["data"]["reason"] == "revoke_all"
                for entry in entries
            )

        newest = (await eventually(told))[0]
        await eventually(ended)
        assert (newest["data"]["reason"], newest["actor"]) == ("a drill", asked_by)

    async def test_is_for_administrators(self, person: Person) -> None:
        """403 for everybody else."""
        await person.join()

        answer = await person.call("POST", REVOKE_ALL, BODY, token=person.access_token)

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await person.me()).status_code == 200


async def _entries(admin: Person, type_: str) -> list[dict[str, Any]]:
    path = f"/api/v1/admin/audit?type={type_}&limit=100"
    answer = await admin.call("GET", path, token=admin.access_token)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])
