"""Browser mode through the whole platform, in both shapes: cookies, and what forgers get."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from chassis.testing import eventually
from tests.platforms.browser import Browser
from tests.platforms.person import Person
from tests.platforms.platform import Platform

CSRF = "/api/v1/auth/csrf"
EVIL = "https://evil.example"
Open = Callable[[Person], Browser]


@pytest.fixture
async def open_browser(platform: Platform) -> AsyncIterator[Open]:
    """Return a function that opens as many browsers as a test wants."""
    async with AsyncExitStack() as stack:

        def arrive(person: Person) -> Browser:
            browser = platform.browser(person)
            stack.push_async_exit(browser)
            return browser

        yield arrive


@pytest.fixture
async def browser(person: Person, open_browser: Open) -> Browser:
    """Return the browser of somebody with a verified account who has just logged in."""
    return await logged_in(person, open_browser)


async def logged_in(person: Person, open_browser: Open) -> Browser:
    """Register, verify, and log in in a browser."""
    assert (await person.register()).is_success
    assert (await person.verify()).is_success
    browser = open_browser(person)
    answer = await browser.login()
    assert answer.status_code == 200, answer.text
    return browser


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code."""
    return answer.status_code, answer.json()["code"]


async def name_of(browser: Browser) -> str:
    """Return the name the account has now."""
    answer = await browser.me()
    assert answer.status_code == 200, answer.text
    return str(answer.json()["username"])


class TestASession:
    """From the login to the logout."""

    async def test_goes_all_the_way_by_cookies_alone(self, browser: Browser) -> None:
        """Log in, read, change, refresh, log out."""
        first = browser.cookies()
        assert set(first) == {"access", "refresh", "csrf", "device"}
        assert await name_of(browser) == browser.person.username
        assert (await browser.rename(f"{browser.person.username}-2")).status_code == 200

        refreshed = await browser.refresh()
        second = browser.cookies()
        assert refreshed.json() == {"expires_in": 900, "session_id": browser.session_id}
        assert second["access"] != first["access"]
        assert second["refresh"] != first["refresh"]
        assert (second["csrf"], second["device"]) == (first["csrf"], first["device"])
        assert await name_of(browser) == f"{browser.person.username}-2"

        out = await browser.logout()
        assert out.status_code == 200
        assert out.headers["clear-site-data"] == '"cache", "storage"'
        assert set(browser.cookies()) == {"device"}
        assert refusal(await browser.me()) == (401, "unauthenticated")

    async def test_keeps_its_tokens_out_of_bodies_and_logs(
        self, browser: Browser, platform: Platform
    ) -> None:
        """They travel in Set-Cookie and nowhere else."""
        answers = [await browser.login()]
        secrets = list(browser.cookies().values())
        answers += [await browser.refresh(), await browser.me(), await browser.rename("x", csrf="")]
        secrets += browser.cookies().values()
        answers += [await browser.logout(), await browser.refresh()]

        shown = "".join(answer.text for answer in answers)
        logged = "".join(path.read_text(errors="replace") for path in platform.folder.glob("*.log"))
        assert answers[0].json() == {"expires_in": 900, "session_id": browser.session_id}
        assert not [secret for secret in secrets if secret in shown or secret in logged]
        assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}

    async def test_sets_cookies_with_the_right_attributes(self, browser: Browser) -> None:
        """On plain http: everything but Secure and the prefix; only the device's lasts."""
        lines = (await browser.login()).headers.get_list("set-cookie")
        cookies = {line.partition("=")[0]: set(line.split("; ")[1:]) for line in lines}
        assert cookies == {
            "gatehouse-access": {"Path=/", "HttpOnly", "SameSite=Lax"},
            "gatehouse-refresh": {"Path=/", "HttpOnly", "SameSite=Strict"},
            "gatehouse-csrf": {"Path=/", "SameSite=Strict"},
            "gatehouse-device": {"Max-Age=15552000", "Path=/", "HttpOnly", "SameSite=Strict"},
        }

    async def test_is_one_per_user(self, browser: Browser, open_browser: Open) -> None:
        """A login elsewhere ends it; the refresh then takes the cookies back."""
        elsewhere = open_browser(browser.person)
        assert (await elsewhere.login()).status_code == 200

        async def ended() -> bool:
            answer = await browser.me()
            return answer.status_code == 401 and answer.json()["code"] == "token_revoked"

        await eventually(ended, within=5)
        assert refusal(await browser.refresh()) == (401, "invalid_refresh_token")
        assert set(browser.cookies()) == {"device"}
        assert await name_of(elsewhere) == browser.person.username

    async def test_can_be_ended_twice(self, browser: Browser) -> None:
        """The logout of an ended session is 200 and clears the cookies all the same."""
        old = browser.cookies()
        assert (await browser.logout()).status_code == 200
        for kind, value in old.items():
            browser.plant(kind, value)

        again = await browser.logout()

        assert again.status_code == 200
        assert set(browser.cookies()) == {"device"}
        for kind, value in old.items():
            browser.plant(kind, value)
        assert refusal(await browser.refresh()) == (401, "invalid_refresh_token")

    async def test_survives_two_tabs(self, browser: Browser) -> None:
        """Both refresh at once with the same cookie and get the same successor."""
        jars = await asyncio.gather(*(browser.refresh() for _ in range(4)))
        tokens = {answer.cookies.get("gatehouse-refresh") for answer in jars}
        assert [answer.status_code for answer in jars] == [200] * 4
        assert tokens == {browser.cookie("refresh")}
        assert (await browser.refresh()).status_code == 200

    async def test_ends_when_somebody_else_uses_its_refresh_cookie(
        self, browser: Browser, somebody: Callable[[], Person], open_browser: Open
    ) -> None:
        """A thief with all cookies but the device's: reuse ends the family, for both."""
        thief = open_browser(somebody())
        for kind in ("refresh", "csrf"):
            thief.plant(kind, browser.cookie(kind))
        assert (await browser.refresh()).status_code == 200

        assert refusal(await thief.refresh()) == (401, "invalid_refresh_token")
        assert refusal(await browser.refresh()) == (401, "invalid_refresh_token")
        assert set(browser.cookies()) == {"device"}


class TestKnownDevices:
    """The device cookie (D6)."""

    async def test_passes_a_lock_that_strangers_caused(
        self, browser: Browser, somebody: Callable[[], Person], open_browser: Open
    ) -> None:
        """Also after a logout; a browser that was never here meets the lock."""
        await browser.logout()
        stranger = somebody()
        stranger.username = browser.person.username
        for _ in range(5):
            await stranger.login("Wrong-Horse-9")
        fresh = open_browser(somebody())
        fresh.person.username = browser.person.username

        assert refusal(await fresh.login()) == (403, "account_locked")
        assert (await browser.login()).status_code == 200


class TestForgery:
    """What a page of somebody else can make the victim's browser do: nothing."""

    async def test_needs_the_csrf_token_of_this_session(
        self, browser: Browser, somebody: Callable[[], Person], open_browser: Open
    ) -> None:
        """None, another session's, the attacker's own pair tossed, one from before the login."""
        before = (await open_browser(browser.person).call("GET", CSRF)).json()["csrf_token"]
        attacker = await logged_in(somebody(), open_browser)
        theirs, name = attacker.cookie("csrf") or "", browser.person.username
        good = browser.cookie("csrf")

        assert refusal(await browser.rename("forged", csrf="")) == (403, "csrf_token_missing")
        assert refusal(await browser.rename("forged", csrf=theirs)) == (403, "csrf_token_invalid")
        for pair in (theirs, before):
            browser.plant("csrf", pair)
            code = "csrf_token_of_another_session"
            assert refusal(await browser.rename("forged")) == (403, code)
            assert refusal(await browser.refresh()) == (403, code)
            assert refusal(await browser.logout()) == (403, code)
        browser.plant("access", None)  # then only token can tell whose session it is
        assert refusal(await browser.refresh()) == (403, "csrf_token_of_another_session")
        assert refusal(await browser.logout()) == (403, "csrf_token_of_another_session")

        browser.plant("csrf", good)
        assert (await browser.refresh()).status_code == 200
        assert await name_of(browser) == name

    @pytest.mark.parametrize(
        "site",
        [
            {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://sibling.localhost"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "garbage"},
            {"Origin": "null"},
            {"Origin": EVIL},
            {"Referer": f"{EVIL}/"},
            {},
        ],
    )
    async def test_is_refused_by_where_it_comes_from(
        self, browser: Browser, site: dict[str, str]
    ) -> None:
        """Even with a good token; the session is as it was."""
        mode = {"Gatehouse-Mode": "browser"}
        person = browser.person
        credentials = {"username": person.username, "password": person.password}
        answers = [
            await browser.rename("forged", site=site),
            await browser.call("POST", "/api/v1/auth/refresh", site=site),
            await browser.call("POST", "/api/v1/auth/logout", site=site),
            await browser.call("POST", "/api/v1/auth/login", credentials, site=site, headers=mode),
            await browser.call("DELETE", "/api/v1/sessions", site=site),
        ]
        assert [refusal(answer) for answer in answers] == [(403, "cross_origin_refused")] * 5
        assert await name_of(browser) == person.username

    @pytest.mark.parametrize("site", ["same-origin", "none", None])
    async def test_is_not_what_a_page_of_ours_does(
        self, browser: Browser, site: str | None
    ) -> None:
        """With Fetch Metadata, or without by the Origin."""
        headers = {"Origin": browser.origin} if site is None else {"Sec-Fetch-Site": site}
        renamed = await browser.rename(f"{browser.person.username}-2", site=headers)
        assert renamed.status_code == 200

    @pytest.mark.parametrize(
        "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
    )
    async def test_finds_no_door_for_forms(self, browser: Browser, media_type: str) -> None:
        """415 for the three types a form can send, whatever else is right."""
        headers = {
            **browser.page,
            "X-CSRF-Token": browser.cookie("csrf") or "",
            "Content-Type": media_type,
            "Gatehouse-Mode": "browser",
        }
        client = browser._client
        body = b'{"username": "forged"}'
        answers = [
            await client.patch("/api/v1/users/me", content=body, headers=headers),
            await client.post("/api/v1/auth/login", content=body, headers=headers),
            await client.post("/api/v1/auth/refresh", content=body, headers=headers),
            await client.post("/api/v1/auth/logout", content=body, headers=headers),
        ]
        assert [refusal(answer) for answer in answers] == [(415, "unsupported_media_type")] * 4


class TestFixation:
    """What was in the browser before the login."""

    async def test_is_dead_after_it(
        self, person: Person, somebody: Callable[[], Person], open_browser: Open
    ) -> None:
        """The attacker's own good cookies, planted: the login begins a session of its own."""
        attacker = await logged_in(somebody(), open_browser)
        planted = attacker.cookies()
        victim = open_browser(person)
        await person.register()
        await person.verify()
        for kind, value in planted.items():
            victim.plant(kind, value)

        assert (await victim.login()).status_code == 200

        own = victim.cookies()
        assert not {kind for kind, value in own.items() if value == planted[kind]}
        assert victim.session_id != attacker.session_id
        assert await name_of(victim) == person.username
        assert await name_of(attacker) == attacker.person.username

    async def test_every_identifier_changes_at_the_next_login(self, browser: Browser) -> None:
        """Access, refresh and CSRF token; the ones before are dead."""
        old, old_session = browser.cookies(), browser.session_id
        assert (await browser.login()).status_code == 200
        new = browser.cookies()
        assert browser.session_id != old_session
        assert not [kind for kind in ("access", "refresh", "csrf") if new[kind] == old[kind]]
        for kind in ("refresh", "csrf"):
            browser.plant(kind, old[kind])
        assert refusal(await browser.rename("x"))[1] == "csrf_token_of_another_session"
        browser.plant("access", None)
        assert refusal(await browser.refresh()) == (401, "invalid_refresh_token")


class TestTheModes:
    """Never both at once."""

    async def test_an_authorization_header_means_that_cookies_are_ignored(
        self, browser: Browser
    ) -> None:
        """Also an invalid one; with a valid one no CSRF token is asked for."""
        bad = await browser.call("GET", "/api/v1/users/me", headers={"Authorization": "Bearer x"})
        good = {"Authorization": f"Bearer {browser.cookie('access')}"}
        renamed = await browser.rename(
            f"{browser.person.username}-2", site={}, csrf="", headers=good
        )
        assert refusal(bad) == (401, "invalid_token")
        assert renamed.status_code == 200

    async def test_a_refresh_token_in_the_body_is_refused(self, browser: Browser) -> None:
        """400, beside the cookie that would do."""
        body = {"refresh_token": browser.cookie("refresh")}
        for path in ("/api/v1/auth/refresh", "/api/v1/auth/logout"):
            assert refusal(await browser.call("POST", path, body)) == (400, "invalid_input")
        assert (await browser.refresh()).status_code == 200

    async def test_an_unknown_mode_is_refused(self, browser: Browser) -> None:
        """400."""
        answer = await browser.call(
            "POST",
            "/api/v1/auth/login",
            {"username": "x", "password": "x"},
            headers={"Gatehouse-Mode": "cookie"},
        )
        assert refusal(answer) == (400, "unknown_mode")


class TestTheCsrfEndpoint:
    """GET /api/v1/auth/csrf."""

    async def test_gives_the_token_of_the_session(self, browser: Browser) -> None:
        """The same in body and cookie, also after the cookie was lost; it opens what it should."""
        assert (await browser.call("GET", CSRF)).json() == {"csrf_token": browser.cookie("csrf")}
        browser.plant("csrf", None)
        token = (await browser.call("GET", CSRF)).json()["csrf_token"]
        assert token == browser.cookie("csrf")
        assert (await browser.refresh()).status_code == 200
