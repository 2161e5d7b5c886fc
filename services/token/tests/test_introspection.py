"""POST /oauth2/introspect (RFC 7662)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from contracts.identity import (
    PasswordReset,
    UserDisabled,
    UserRolesChanged,
)
from services.token.access_tokens import AccessTokens
from services.token.domain.grants import Grant
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.tests.kit import AUDIENCE, ISSUER
from services.token.tests.oauth import INTROSPECT, Office, run_office

INACTIVE = {"active": False}
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def office(
    make_database: MakeDatabase, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[Office]:
    """Give a service with clients and one user."""
    async with run_office(make_database, clock, tmp_path) as running:
        yield running


class TestAccessTokens:
    """What a resource server asks about."""

    async def test_say_whose_they_are_and_for_how_long(self, office: Office) -> None:
        """Every claim, and nothing that is not there."""
        account = office.world.identity.accounts["ada"]
        tokens = await office.world.client.login()
        claims = await office.world.verify(tokens["access_token"])

        answer = await office.ask(tokens["access_token"])

        moment = int(office.world.clock.now().timestamp())
        assert answer == {
            "active": True,
            "token_use": "access_token",
            "token_type": "Bearer",
            "exp": moment + 900,
            "iat": moment,
            "sub": str(account.user_id),
            "sid": tokens["session_id"],
            "aud": AUDIENCE,
            "iss": ISSUER,
            "jti": claims.jti,
            "roles": ["user"],
            "auth_time": moment,
            "amr": list(claims.amr),
        }

    async def test_are_told_with_their_scope(self, office: Office) -> None:
        """Where there is one."""
        tokens = await office.world.client.login()
        await office.world.as_owner("UPDATE sessions SET scope = 'read'")
        refreshed = (await office.world.client.refresh(tokens["refresh_token"])).json()

        assert (await office.ask(refreshed["access_token"]))["scope"] == "read"

    @pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", ""])
    async def test_are_found_whatever_the_hint(self, office: Office, hint: str) -> None:
        """It only ever says where to look first."""
        tokens = await office.world.client.login()

        for token in (tokens["access_token"], tokens["refresh_token"]):
            assert (await office.ask(token, token_type_hint=hint))["active"] is True

    async def test_run_out_to_the_second(self, office: Office) -> None:
        """Leeway is for the clocks of others."""
        tokens = await office.world.client.login()
        office.world.clock.advance(15 * MINUTE - timedelta(seconds=1))
        before = await office.ask(tokens["access_token"])
        office.world.clock.advance(timedelta(seconds=1))

        assert before["active"] is True
        assert await office.ask(tokens["access_token"]) == INACTIVE


class TestRefreshTokens:
    """For clients that may ask about these."""

    async def test_say_whose_they_are(self, office: Office) -> None:
        """And are told from access tokens: they have no type of RFC 6749 §5.1."""
        tokens = await office.world.client.login()

        answer = await office.ask(tokens["refresh_token"])

        assert answer == {
            "active": True,
            "token_use": "refresh_token",
            "exp": int((office.world.clock.now() + timedelta(days=7)).timestamp()),
            "sub": str(office.world.identity.accounts["ada"].user_id),
            "sid": tokens["session_id"],
            "aud": AUDIENCE,
            "iss": ISSUER,
        }

    async def test_that_were_spent_do_not_count(self, office: Office) -> None:
        """Their successor does."""
        first = await office.world.client.login()
        second = (await office.world.client.refresh(first["refresh_token"])).json()

        assert await office.ask(first["refresh_token"]) == INACTIVE
        assert (await office.ask(second["refresh_token"]))["active"] is True

    async def test_run_out(self, office: Office) -> None:
        """With the session's idle life."""
        tokens = await office.world.client.login()
        office.world.clock.advance(timedelta(days=7))

        assert await office.ask(tokens["refresh_token"]) == INACTIVE

    async def test_are_nothing_to_who_may_not_ask_about_them(self, office: Office) -> None:
        """So no resource takes one for an access token."""
        tokens = await office.world.client.login()

        assert await office.ask(tokens["refresh_token"], "orders") == INACTIVE
        assert (await office.ask(tokens["access_token"], "orders"))["active"] is True


class TestInactive:
    """`{"active": false}` and nothing else, from the moment on that ended them."""

    async def both(self, office: Office, tokens: dict[str, Any]) -> list[dict[str, Any]]:
        """Ask about both tokens of a session."""
        return [await office.ask(tokens[kind]) for kind in ("access_token", "refresh_token")]

    async def test_at_once_after_a_logout(self, office: Office) -> None:
        """No poll lies between."""
        tokens = await office.world.client.login()
        await office.world.client.logout(refresh_token=tokens["refresh_token"])

        assert await self.both(office, tokens) == [INACTIVE, INACTIVE]

    async def test_when_a_new_login_replaced_the_session(self, office: Office) -> None:
        """One session per user is the default."""
        tokens = await office.world.client.login()
        newer = await office.world.client.login()

        assert await self.both(office, tokens) == [INACTIVE, INACTIVE]
        assert [one["active"] for one in await self.both(office, newer)] == [True, True]

    @pytest.mark.parametrize("change", [UserDisabled, PasswordReset])
    async def test_after_what_ends_sessions(
        self, office: Office, change: type[UserDisabled] | type[PasswordReset]
    ) -> None:
        """As soon as it was pushed."""
        tokens = await office.world.client.login()
        user_id = office.world.identity.accounts["ada"].user_id
        await office.world.push(office.world.event(change(user_id=user_id), 2))

        assert await self.both(office, tokens) == [INACTIVE, INACTIVE]

    async def test_after_a_change_of_roles_until_the_refresh(self, office: Office) -> None:
        """The access token still says the old ones; the session goes on."""
        tokens = await office.world.client.login()
        account = office.world.identity.accounts["ada"]
        account.roles, account.version = ("user", "moderator"), 2
        data = UserRolesChanged(
            user_id=account.user_id, roles=account.roles, previous_roles=("user",)
        )
        await office.world.push(office.world.event(data, 2))
        stale = await office.ask(tokens["access_token"])
        refreshed = (await office.world.client.refresh(tokens["refresh_token"])).json()

        assert stale == INACTIVE
        assert (await office.ask(refreshed["access_token"]))["roles"] == ["moderator", "user"]

    async def test_for_a_client_of_another_audience(self, office: Office) -> None:
        """It learns nothing of these users."""
        tokens = await office.world.client.login()

        assert await office.ask(tokens["access_token"], "stranger") == INACTIVE

    @pytest.mark.parametrize(
        "token",
        [
            "x",
            " ",
            "a.b.c",
            "gh_rt_" + "A" * 43,
            "gh_cs_" + "A" * 43,
            "A" * 10_000,
            "e30." * 4,
            "eyJhbGciOiJub25lIn0.e30.",
            "' OR 1=1 --",
            "töken",
        ],
    )
    async def test_for_what_was_never_a_token(self, office: Office, token: str) -> None:
        """Of whatever form and length."""
        assert await office.ask(token) == INACTIVE

    @pytest.mark.parametrize(
        ("issuer", "audience"), [("https://other.example", AUDIENCE), (ISSUER, "elsewhere")]
    )
    async def test_for_tokens_of_others_under_our_key(
        self, office: Office, issuer: str, audience: str
    ) -> None:
        """Signature and session are not enough."""
        tokens = await office.world.client.login()
        (row,) = await office.world.rows("SELECT * FROM sessions")
        forged = self._issue(office, row, issuer, audience)

        assert await office.ask(forged) == INACTIVE
        assert (await office.ask(self._issue(office, row, ISSUER, AUDIENCE)))["active"] is True
        assert (await office.ask(tokens["access_token"]))["active"] is True

    async def test_for_a_session_of_somebody_else(self, office: Office) -> None:
        """A token whose `sub` is not its session's is nobody's."""
        await office.world.client.login()
        (row,) = await office.world.rows("SELECT * FROM sessions")
        stranger = {**row._mapping, "user_id": uuid4()}

        assert await office.ask(self._issue(office, stranger, ISSUER, AUDIENCE)) == INACTIVE

    async def test_as_soon_as_everybody_is_logged_out(self, office: Office) -> None:
        """Before any session was ended, and by a process that has not read of it."""
        tokens = await office.world.client.login()
        await office.world.as_owner(
            "INSERT INTO global_revocations VALUES (1, now(), 'by hand', 'operator')"
        )

        answers = [await office.ask(tokens[kind]) for kind in ("access_token", "refresh_token")]

        assert answers == [INACTIVE, INACTIVE]

    async def test_for_a_changed_signature(self, office: Office) -> None:
        """Claims are not believed unread."""
        tokens = await office.world.client.login()
        head, payload, signature = tokens["access_token"].split(".")
        claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})

        assert claims["iss"] == ISSUER
        assert await office.ask(f"{head}.{payload}.{signature[::-1]}") == INACTIVE

    def _issue(self, office: Office, row: Any, issuer: str, audience: str) -> str:
        """Sign a token of a session with the service's own key."""
        values = dict(row if isinstance(row, dict) else row._mapping)
        values.pop("ended_reason")
        session = Session(**{**values, "amr": tuple(values["amr"])})
        now = office.world.clock.now()
        ring = office.world.parts._keys.ring
        return AccessTokens(issuer, audience, ring).issue(
            Grant.of(session, Subject(user_id=session.user_id)),
            key=ring.signing_key,
            now=now,
            expires_at=now + 15 * MINUTE,
        )


class TestRights:
    """What a known client may do."""

    async def test_are_needed(self, office: Office) -> None:
        """One that may only revoke is told so."""
        answer = await office.post(INTROSPECT, {"token": "x"}, office.proof("sweeper"))

        assert (answer.status_code, answer.json()["error"]) == (403, "unauthorized_client")
        assert answer.headers["cache-control"] == "no-store"

    async def test_nobody_may_keep_the_answer(self, office: Office) -> None:
        """It is true for a moment."""
        tokens = await office.world.client.login()
        form = {"token": tokens["access_token"]}

        answer = await office.post(INTROSPECT, form, office.proof("orders"))

        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"].startswith("application/json")

    async def test_asking_changes_nothing(self, office: Office) -> None:
        """No event, no use of the session, however often."""
        tokens = await office.world.client.login()
        before = await office.world.count("outbox"), await office.world.rows("TABLE sessions")
        for _ in range(3):
            await office.ask(tokens["access_token"])
            await office.ask(tokens["refresh_token"])

        after = await office.world.count("outbox"), await office.world.rows("TABLE sessions")
        assert after == before
