"""Every kind of secret the platform gives to people, and every place that one can be put."""

from collections.abc import Awaitable, Callable, Mapping

import httpx

from chassis.assertions import HEADER, AssertionSigner
from chassis.clock import SystemClock
from chassis.crypto import parse_keys
from tests.platforms.browser import Browser
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.single import SingleProcess

Put = Callable[[str], Awaitable[httpx.Response]]
ME, REVERT = "/api/v1/users/me", "/api/v1/users/me/email/revert"


async def every_kind(platform: SingleProcess, person: Person, browser: Browser) -> dict[str, str]:
    """Return a good one of each kind, all of *person*, who is logged in with both clients."""
    csrf, device = browser.cookie("csrf"), browser.cookie("device")
    assert csrf is not None
    assert device is not None
    assert (await person.ask_for_reset()).is_success
    reset = await wait_for_mail(platform.mailbox, person.email, containing="reset-password")
    async with platform.person() as newcomer:
        assert (await newcomer.register()).is_success
        verify = await wait_for_mail(platform.mailbox, newcomer.email, containing="verify-email")
    return {
        "access": person.access_token,
        "refresh": person.tokens["refresh_token"],
        "device": device,
        "csrf": csrf,
        "verify": verify.token,
        "reset": reset.token,
        "assertion": _assertion(platform),
        "garbage": "garbage",
        "10 kB": "x" * 10_000,
    }


def every_place(platform: Platform, person: Person, browser: Browser) -> Mapping[str, Put]:
    """Return what puts a text into each place; the name is that of the kind which belongs there."""

    def in_body(path: str, name: str, **more: str) -> Put:
        return lambda text: person.call("POST", path, {name: text, **more})

    async def with_cookie(kind: str, method: str, path: str, text: str) -> httpx.Response:
        kept = browser.cookies()
        async with Browser(platform.base_url, browser.origin, person) as other:
            for name, value in kept.items():
                other.plant(name, text if name == kind else value)
            return await other.call(method, path, csrf=kept["csrf"])

    return {
        "access in the header": lambda text: person.call("GET", ME, token=text),
        "access at logout": lambda text: person.call("POST", "/api/v1/auth/logout", token=text),
        "access in its cookie": lambda text: with_cookie("access", "GET", ME, text),
        "refresh in the body": in_body("/api/v1/auth/refresh", "refresh_token"),
        "refresh at logout": in_body("/api/v1/auth/logout", "refresh_token"),
        "refresh in its cookie": lambda text: with_cookie(
            "refresh", "POST", "/api/v1/auth/refresh", text
        ),
        "csrf in its header": lambda text: browser.call("PATCH", ME, {"username": "x"}, csrf=text),
        "verify in the body": in_body("/api/v1/auth/email/verify", "token"),
        "revert in the body": in_body(REVERT, "token"),
        "reset in the body": in_body(
            "/api/v1/auth/password-reset/verify", "token", new_password="Another-Staple-8-Shore"
        ),
        "assertion from outside": lambda text: person.call("GET", ME, headers={HEADER: text}),
    }


def _assertion(platform: SingleProcess) -> str:
    """Sign as the gateway does towards token, with its very secret."""
    secret = (platform.data_dir / "secrets" / "assertion_gateway_token").read_text(encoding="ascii")
    signer = AssertionSigner(
        issuer="gateway", audience="token", secrets=parse_keys(secret), clock=SystemClock()
    )
    return signer.sign("GET", "/api/v1/sessions", request_id="r", principal=None)
