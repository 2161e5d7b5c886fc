"""The journey of the seed through all five deployables, from the first form to the last log row."""

from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from chassis.testing import eventually
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import NEW_PASSWORD, Person
from tests.platforms.platform import Platform


async def _audit_types(admin: Person, user_id: str) -> list[str]:
    path = f"/api/v1/admin/audit?target={user_id}&limit=200"
    response = await admin.call("GET", path, token=admin.access_token)
    assert response.status_code == 200, response.text
    return [item["type"] for item in response.json()["items"]]


class TestTheJourney:
    """Register, verify, log in, use, refresh, log out, reset, log in again."""

    async def test_a_person_goes_all_the_way(self, person: Person, admin: Person) -> None:
        """Every step answers with the seed's status, and every step stands in the audit log."""
        registered = await person.register()
        assert registered.status_code == 201
        assert {"id", "email", "username", "is_verified", "created_at"} == set(registered.json())

        early = await person.login()
        assert (early.status_code, early.json()["code"]) == (403, "email_not_verified")

        assert (await person.verify()).status_code == 200
        assert (await person.login()).status_code == 200
        me = await person.me()
        assert (me.status_code, me.json()["username"]) == (200, person.username)

        first = dict(person.tokens)
        assert (await person.refresh()).status_code == 200
        assert person.tokens["refresh_token"] != first["refresh_token"]
        assert (await person.me()).status_code == 200

        out = await person.call("POST", "/api/v1/auth/logout", {}, token=person.access_token)
        assert out.status_code == 200

        async def dead() -> bool:
            answer = await person.me()
            return answer.status_code == 401 and answer.json()["code"] == "token_revoked"

        await eventually(dead, within=5)
        assert (await person.refresh()).status_code == 401

        assert (await person.login()).status_code == 200
        before_reset = person.access_token
        assert (await person.ask_for_reset()).status_code == 200
        assert (await person.reset()).status_code == 200
        await eventually(lambda: _is_refused(person, before_reset), within=5)
        assert (await person.login()).status_code == 200
        assert (await person.me()).status_code == 200

        expected = {
            "identity.user.registered.v1",
            "identity.user.email_verified.v1",
            "identity.login.failed.v1",
            "identity.login.succeeded.v1",
            "identity.password.reset_requested.v1",
            "identity.password.reset.v1",
            "token.session.started.v1",
            "token.session.ended.v1",
            "token.token.refreshed.v1",
        }

        async def recorded() -> bool:
            types = await _audit_types(admin, person.user_id)
            assert expected <= set(types), expected - set(types)
            return True

        await eventually(recorded, within=20)

    async def test_the_old_password_is_dead_after_a_reset(self, person: Person) -> None:
        """Only the new one opens the door."""
        await person.join()
        old = person.password
        await person.ask_for_reset()
        assert (await person.reset(NEW_PASSWORD)).status_code == 200
        refused = await person.login(old)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")
        assert (await person.login()).status_code == 200

    async def test_a_token_is_verified_offline_from_the_jwks_alone(
        self, person: Person, platform: Platform
    ) -> None:
        """A product needs the published keys and nothing else."""
        await person.join()
        async with httpx.AsyncClient() as client:
            keys = (await client.get(f"{platform.base_url}/.well-known/jwks.json")).json()
        header = jwt.get_unverified_header(person.access_token)
        key = next(key for key in keys["keys"] if key["kid"] == header["kid"])
        claims = jwt.decode(
            person.access_token, jwt.PyJWK(key), algorithms=["ES256"], audience="gatehouse"
        )
        assert claims["sub"] == person.user_id
        assert header["typ"] == "at+jwt"
        assert "d" not in key


class TestTheSeedsStatuses:
    """Each status of the seed's table, where a client meets it."""

    async def test_a_duplicate_is_409_with_the_field_named(
        self, person: Person, somebody: Callable[[], Person]
    ) -> None:
        """The same address or username, also in capitals."""
        await person.register()
        other = somebody()
        other.email = person.email.upper()
        response = await other.register()
        assert response.status_code == 409
        assert response.json()["errors"][0]["pointer"] == "/email"
        third = somebody()
        third.username = person.username.upper()
        response = await third.register()
        assert response.status_code == 409
        assert response.json()["errors"][0]["pointer"] == "/username"

    async def test_a_weak_password_is_400_with_the_rules_named(self, person: Person) -> None:
        """Every broken rule is told at once."""
        person.password = "weak"
        response = await person.register()
        assert response.status_code == 400
        codes = {error["code"] for error in response.json()["errors"]}
        assert {"password_too_short", "password_needs_uppercase"} <= codes

    @pytest.mark.parametrize("name", ["known", "unknown"])
    async def test_a_wrong_login_is_401_alike(self, person: Person, name: str) -> None:
        """Nobody learns whether the account exists."""
        if name == "known":
            await person.register()
        response = await person.login("Wrong-Horse-9")
        assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")

    async def test_too_many_logins_from_one_address_are_429(self, person: Person) -> None:
        """The sixth within a minute waits; the answer says how long."""
        for _ in range(5):
            assert (await person.login("Wrong-Horse-9")).status_code == 401
        response = await person.login("Wrong-Horse-9")
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0
        assert "ratelimit" in response.headers

    async def test_too_many_registrations_from_one_address_are_429(self, person: Person) -> None:
        """The fourth within a minute waits."""
        statuses = []
        for number in range(4):
            person.username, person.email = f"{person.username}x", f"x{number}{person.email}"
            statuses.append((await person.register()).status_code)
        assert statuses == [201, 201, 201, 429]

    async def test_five_failures_lock_the_account_for_everybody(
        self, person: Person, somebody: Callable[[], Person]
    ) -> None:
        """From another address the right password meets 403 account_locked."""
        await person.register()
        await person.verify()
        for _ in range(5):
            await person.login("Wrong-Horse-9")
        other = somebody()
        other.username = person.username
        response = await other.login()
        assert (response.status_code, response.json()["code"]) == (403, "account_locked")
        assert int(response.headers["retry-after"]) > 0

    async def test_nobody_is_told_whether_an_address_is_known(
        self, person: Person, somebody: Callable[[], Person]
    ) -> None:
        """Reset and resend answer 200 alike."""
        await person.register()
        stranger = somebody()
        for path in ("password-reset", "email/resend-verification"):
            known = await person.call("POST", f"/api/v1/auth/{path}", {"email": person.email})
            unknown = await stranger.call("POST", f"/api/v1/auth/{path}", {"email": stranger.email})
            assert known.status_code == unknown.status_code == 200
            assert known.content == unknown.content

    async def test_without_a_token_there_is_401_and_without_a_role_403(
        self, person: Person
    ) -> None:
        """And what is not listed is 404."""
        await person.join()
        assert (await person.call("GET", "/api/v1/users/me")).status_code == 401
        assert (await person.call("GET", "/api/v1/users/me", token="x.y.z")).status_code == 401
        audit = await person.call("GET", "/api/v1/admin/audit", token=person.access_token)
        assert audit.status_code == 403
        assert (await person.call("GET", "/api/v1/nothing")).status_code == 404
        assert (await person.call("PUT", "/api/v1/auth/login")).status_code == 405

    async def test_verification_is_idempotent_and_single_use(self, person: Person) -> None:
        """The link may be pressed twice; another token of the same shape is 400."""
        await person.register()
        mail = await wait_for_mail(person._mailbox, person.email, containing="verify-email")
        body = {"token": mail.token}
        for _ in range(2):
            response = await person.call("POST", "/api/v1/auth/email/verify", body)
            assert response.status_code == 200
        forged = {"token": mail.token[:-4] + "AAAA"}
        response = await person.call("POST", "/api/v1/auth/email/verify", forged)
        assert response.status_code == 400


async def _is_refused(person: Person, token: str) -> Any:
    response = await person.me(token)
    return response.status_code == 401
