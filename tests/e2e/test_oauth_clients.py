"""Introspection and revocation through the gateway, as a resource server and a helpdesk do it."""

from typing import Any

import httpx
import pytest

from chassis.testing import eventually
from services.token.domain.clients import ClientSecret
from tests.platforms.clients import CLIENT_ID
from tests.platforms.person import Person
from tests.platforms.platform import Platform

INACTIVE = {"active": False}


@pytest.fixture
async def joined(person: Person) -> Person:
    """Return somebody who is logged in."""
    await person.join()
    return person


async def _introspected(platform: Platform, token: str) -> dict[str, Any]:
    return await platform.oauth_client.introspect(platform.base_url, token)


async def _status(person: Person) -> int:
    return (await person.me()).status_code


class TestIntrospection:
    """POST /oauth2/introspect."""

    async def test_tells_what_the_token_says(self, platform: Platform, joined: Person) -> None:
        """At the address the metadata name."""
        answer = await joined.call("GET", "/.well-known/oauth-authorization-server")
        metadata = answer.json()

        told = await _introspected(platform, joined.access_token)

        assert metadata["introspection_endpoint"] == f"{metadata['issuer']}/oauth2/introspect"
        assert metadata["revocation_endpoint"] == f"{metadata['issuer']}/oauth2/revoke"
        assert (told["active"], told["token_type"], told["roles"]) == (True, "Bearer", ["user"])
        assert (told["sub"], told["iss"]) == (joined.user_id, metadata["issuer"])
        refresh = await _introspected(platform, joined.tokens["refresh_token"])
        assert (refresh["active"], refresh["token_use"]) == (True, "refresh_token")

    async def test_knows_of_a_logout_as_soon_as_it_is_answered(
        self, platform: Platform, joined: Person
    ) -> None:
        """No copy lags behind."""
        answer = await joined.call("POST", "/api/v1/auth/logout", token=joined.access_token)
        told = await _introspected(platform, joined.access_token)

        assert (answer.status_code, told) == (200, INACTIVE)
        assert await _introspected(platform, joined.tokens["refresh_token"]) == INACTIVE


class TestRevocation:
    """POST /oauth2/revoke."""

    async def test_of_an_access_token_leaves_the_session(
        self, platform: Platform, joined: Person
    ) -> None:
        """The gateway refuses the one token, and takes the next."""
        assert (await joined.me()).status_code == 200
        revoked = joined.access_token

        await platform.oauth_client.revoke(platform.base_url, revoked)

        assert await _introspected(platform, revoked) == INACTIVE

        async def is_refused() -> bool:
            return (await joined.me(revoked)).status_code == 401

        await eventually(is_refused)
        assert (await joined.me(revoked)).json()["code"] == "token_revoked"
        assert (await joined.refresh()).status_code == 200
        assert (await joined.me()).status_code == 200

    async def test_of_a_refresh_token_ends_the_session(
        self, platform: Platform, joined: Person
    ) -> None:
        """With all its tokens."""
        await platform.oauth_client.revoke(platform.base_url, joined.tokens["refresh_token"])

        async def is_refused() -> bool:
            return await _status(joined) == 401

        assert await _introspected(platform, joined.access_token) == INACTIVE
        assert (await joined.refresh()).status_code == 401
        await eventually(is_refused)

    async def test_is_recorded_as_the_clients(
        self, platform: Platform, joined: Person, admin: Person
    ) -> None:
        """Who did it, from where, to whom."""
        await platform.oauth_client.revoke(platform.base_url, joined.access_token)

        async def entry() -> dict[str, Any] | None:
            path = f"/api/v1/admin/audit?type=token.token.revoked.v1&target={joined.user_id}"
            items = (await admin.call("GET", path, token=admin.access_token)).json()["items"]
            return dict(items[0]) if items else None

        found = await eventually(entry)
        assert (found["actor"], found["data"]["kind"]) == (f"client:{CLIENT_ID}", "jti")


class TestStrangers:
    """Who is no client."""

    @pytest.mark.parametrize("path", ["/oauth2/introspect", "/oauth2/revoke"])
    async def test_learn_and_do_nothing(
        self, platform: Platform, joined: Person, admin: Person, path: str
    ) -> None:
        """One 401, recorded with its address; the secret is in no log."""
        wrong = ClientSecret.new().text
        headers = {"X-Forwarded-For": joined.address}
        async with httpx.AsyncClient(base_url=platform.base_url, headers=headers) as client:
            form = {"token": joined.access_token}
            answers = [
                await client.post(path, data=form),
                await client.post(path, data=form, auth=httpx.BasicAuth(CLIENT_ID, wrong)),
                await client.post(path, data=form, auth=httpx.BasicAuth("nobody", wrong)),
                await client.post(
                    path, data=form, headers={"Authorization": f"Bearer {joined.access_token}"}
                ),
            ]

        assert {(a.status_code, a.json()["error"]) for a in answers} == {(401, "invalid_client")}
        assert all(a.headers["www-authenticate"].startswith("Basic ") for a in answers)
        assert all(a.headers["cache-control"] == "no-store" for a in answers)
        assert await _status(joined) == 200

        async def entries() -> list[dict[str, Any]] | None:
            query = f"type=token.client.authentication_failed.v1&ip={joined.address}"
            path = f"/api/v1/admin/audit?{query}"
            items = (await admin.call("GET", path, token=admin.access_token)).json()["items"]
            return list(items) if len(items) == 2 else None

        found = await eventually(entries)
        reasons = {(item["data"]["client_id"], item["data"]["reason"]) for item in found}
        assert reasons == {(CLIENT_ID, "wrong_secret"), (None, "unknown_client")}
        assert {item["outcome"] for item in found} == {"failure"}
        logs = [path.read_text(errors="replace") for path in platform.folder.rglob("*.log")]
        assert not [text for text in logs if wrong in text or platform.oauth_client.secret in text]
