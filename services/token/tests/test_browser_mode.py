"""Browser mode: what cookies held and will hold goes by headers, and the proven session rules."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from chassis.caller import Principal
from services.token.tests.kit import World

LOGIN, REFRESH, LOGOUT = (f"/api/v1/auth/{name}" for name in ("login", "refresh", "logout"))
ACCESS_HEADER, REFRESH_HEADER = "gatehouse-access-token", "gatehouse-refresh-token"
SESSION_HEADER, DEVICE_HEADER = "gatehouse-session", "gatehouse-device"


@dataclass
class Browser:
    """What the gateway makes of a browser's requests."""

    world: World
    user_agent: str = "Mozilla/5.0"
    device: str | None = None
    handed: Mapping[str, str] = field(default_factory=dict)

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        refresh_token: str | None = None,
        proven_sid: UUID | None = None,
        principal: Principal | None = None,
    ) -> httpx.Response:
        """Send a request in browser mode."""
        headers = {"gatehouse-mode": "browser", "user-agent": self.user_agent}
        cookies = {REFRESH_HEADER: refresh_token, DEVICE_HEADER: self.device}
        headers |= {name: value for name, value in cookies.items() if value}
        return await self.world.send(
            "POST", path, body, headers=headers, proven_sid=proven_sid, principal=principal
        )

    async def login(self, username: str = "ada") -> httpx.Response:
        """Log in and keep what was handed over."""
        password = self.world.identity.accounts[username].password
        answer = await self.post(LOGIN, {"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        self.handed = answer.headers
        self.device = answer.headers[DEVICE_HEADER]
        return answer

    @property
    def sid(self) -> UUID:
        """Return the session."""
        return UUID(self.handed[SESSION_HEADER])

    async def refresh(self, refresh_token: str | None = None) -> httpx.Response:
        """Refresh with the right proof."""
        token = refresh_token or self.handed[REFRESH_HEADER]
        return await self.post(REFRESH, refresh_token=token, proven_sid=self.sid)


async def logged_in(world: World) -> Browser:
    """Return somebody's browser after the login."""
    world.identity.register()
    browser = Browser(world)
    await browser.login()
    return browser


class TestLogin:
    """POST /api/v1/auth/login."""

    async def test_hands_the_tokens_over_beside_the_answer(self, world: World) -> None:
        """The body says what a page may know, and not a token."""
        world.identity.register()

        answer = await Browser(world).login()

        access = await world.verify(answer.headers[ACCESS_HEADER])
        assert answer.json() == {"expires_in": 900, "session_id": str(access.sid)}
        assert answer.headers[SESSION_HEADER] == str(access.sid)
        assert answer.headers[REFRESH_HEADER].startswith("gh_rt_")
        assert answer.headers["cache-control"] == "no-store"

    async def test_takes_the_device_from_its_cookie_alone(self, world: World) -> None:
        """In the body it is refused: the modes are never mixed."""
        account = world.identity.register()
        browser = Browser(world, device="known-device")
        credentials = {"username": "ada", "password": account.password}

        await browser.login()
        refused = await browser.post(LOGIN, {**credentials, "device_token": "other"})

        assert world.identity.requests[-1]["device_token"] == "known-device"
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["pointer"] == "/device_token"
        assert len(world.identity.requests) == 1

    async def test_in_api_mode_hands_nothing_over(self, world: World) -> None:
        """There the tokens are the answer."""
        account = world.identity.register()

        answer = await world.client.send(
            "POST", LOGIN, {"username": "ada", "password": account.password}
        )

        assert not [name for name in answer.headers if name.startswith("gatehouse")]


class TestRefresh:
    """POST /api/v1/auth/refresh."""

    async def test_takes_the_cookie_and_hands_new_ones_over(self, world: World) -> None:
        """With an empty body or none."""
        browser = await logged_in(world)

        answer = await browser.refresh()
        again = await browser.post(
            REFRESH, {}, refresh_token=answer.headers[REFRESH_HEADER], proven_sid=browser.sid
        )

        assert answer.json() == {"expires_in": 900, "session_id": str(browser.sid)}
        assert answer.headers[REFRESH_HEADER] != browser.handed[REFRESH_HEADER]
        assert again.status_code == 200
        assert DEVICE_HEADER not in answer.headers

    async def test_refuses_a_token_in_the_body(self, world: World) -> None:
        """Beside the cookie or instead of it; the one in the cookie stays good."""
        browser = await logged_in(world)
        body = {"refresh_token": browser.handed[REFRESH_HEADER]}

        answers = [
            await browser.post(REFRESH, body, refresh_token=token, proven_sid=browser.sid)
            for token in (None, browser.handed[REFRESH_HEADER])
        ]

        assert [answer.status_code for answer in answers] == [400, 400]
        assert (await browser.refresh()).status_code == 200

    @pytest.mark.parametrize("proven", ["another", "none"])
    async def test_refuses_the_proof_of_another_session(self, world: World, proven: str) -> None:
        """403, and nothing is spent, ended or told."""
        browser = await logged_in(world)
        sid = uuid4() if proven == "another" else None

        refused = await browser.post(
            REFRESH, refresh_token=browser.handed[REFRESH_HEADER], proven_sid=sid
        )

        assert refused.status_code == 403
        assert refused.json()["code"] == "csrf_token_of_another_session"
        assert SESSION_HEADER not in refused.headers
        assert await world.events("token.token.refreshed.v1") == []
        assert (await browser.refresh()).status_code == 200

    async def test_the_proof_rules_before_a_reuse_ends_the_family(self, world: World) -> None:
        """A forged request cannot end a session by an old token either."""
        browser = await logged_in(world)
        spent = browser.handed[REFRESH_HEADER]
        browser.handed = (await browser.refresh()).headers
        world.clock.advance(timedelta(minutes=1))

        refused = await browser.post(REFRESH, refresh_token=spent, proven_sid=uuid4())

        assert refused.status_code == 403
        assert (await browser.refresh()).status_code == 200

    async def test_two_tabs_get_the_same_successor(self, world: World) -> None:
        """The grace holds: both send the cookie that was there when they began."""
        browser = await logged_in(world)
        old = browser.handed[REFRESH_HEADER]

        first, second = await browser.refresh(old), await browser.refresh(old)

        assert (first.status_code, second.status_code) == (200, 200)
        assert first.headers[REFRESH_HEADER] == second.headers[REFRESH_HEADER]
        assert (await world.verify(second.headers[ACCESS_HEADER])).session_id == browser.sid

    async def test_says_when_the_cookies_are_of_no_more_use(self, world: World) -> None:
        """Missing, garbage, reused, ended: 401 with the word to take them back."""
        browser = await logged_in(world)
        spent = browser.handed[REFRESH_HEADER]
        await browser.refresh()
        world.clock.advance(timedelta(minutes=1))

        answers = [
            await browser.post(REFRESH, proven_sid=browser.sid),
            await browser.refresh("garbage"),
            await browser.refresh(browser.handed[ACCESS_HEADER]),
            await browser.refresh(spent),
            await browser.refresh(spent),
        ]

        assert {answer.json()["code"] for answer in answers} == {"invalid_refresh_token"}
        assert [answer.headers[SESSION_HEADER] for answer in answers] == ["over"] * 5
        (reused,) = await world.events("token.refresh_token.reused.v1")
        assert spent not in json.dumps(reused)


class TestLogout:
    """POST /api/v1/auth/logout."""

    @pytest.mark.parametrize("credential", ["access cookie", "refresh cookie", "both"])
    async def test_ends_the_session_of_the_cookies(self, world: World, credential: str) -> None:
        """Whichever of the two is still good."""
        browser = await logged_in(world)
        principal = (await world.verify(browser.handed[ACCESS_HEADER])).principal

        answer = await browser.post(
            LOGOUT,
            principal=None if credential == "refresh cookie" else principal,
            refresh_token=(
                None if credential == "access cookie" else browser.handed[REFRESH_HEADER]
            ),
            proven_sid=browser.sid,
        )

        assert (answer.status_code, answer.headers[SESSION_HEADER]) == (200, "over")
        assert await world.denied_sids() == {str(browser.sid)}

    @pytest.mark.parametrize("cookie", [None, "garbage", "gh_rt_" + "A" * 43, "ended"])
    async def test_of_what_proves_nothing_is_no_error(
        self, world: World, cookie: str | None
    ) -> None:
        """200, nothing changed, and the cookies go."""
        browser = await logged_in(world)
        token = browser.handed[REFRESH_HEADER] if cookie == "ended" else cookie
        if cookie == "ended":
            await browser.post(LOGOUT, refresh_token=token, proven_sid=browser.sid)
        ended = len(await world.events("token.session.ended.v1"))

        answer = await browser.post(LOGOUT, refresh_token=token, proven_sid=browser.sid)

        assert (answer.status_code, answer.headers[SESSION_HEADER]) == (200, "over")
        assert len(await world.events("token.session.ended.v1")) == ended

    @pytest.mark.parametrize("proven", ["another", "none"])
    async def test_refuses_the_proof_of_another_session(self, world: World, proven: str) -> None:
        """Nobody is logged out by a page of somebody else."""
        browser = await logged_in(world)

        refused = await browser.post(
            LOGOUT,
            {"all": True},
            refresh_token=browser.handed[REFRESH_HEADER],
            proven_sid=uuid4() if proven == "another" else None,
        )

        assert refused.status_code == 403
        assert SESSION_HEADER not in refused.headers
        assert (await browser.refresh()).status_code == 200

    async def test_can_end_all_sessions(self, world: World) -> None:
        """The body says so, and holds nothing else."""
        browser = await logged_in(world)
        token = browser.handed[REFRESH_HEADER]

        mixed = await browser.post(LOGOUT, {"refresh_token": token}, proven_sid=browser.sid)
        answer = await browser.post(
            LOGOUT, {"all": True}, refresh_token=token, proven_sid=browser.sid
        )

        (ended,) = await world.events("token.session.ended.v1")
        assert (mixed.status_code, answer.status_code) == (400, 200)
        assert ended["data"]["reason"] == "logout_all"
