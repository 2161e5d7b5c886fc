"""A page's requests in browser mode: what a browser would send along."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from gateway.browser.csrf import CsrfTokens
from gateway.tests.signing import ISSUER, Subject, access_token
from gateway.tests.world import CSRF_KEY, Answer, World

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Origin": ISSUER}
CSRF = CsrfTokens([CSRF_KEY])


@dataclass
class Browser:
    """Somebody who is logged in; `cookies` and `csrf` (the header) may be anything a test wants."""

    world: World
    subject: Subject = field(default_factory=Subject)
    prefix: str = "gatehouse-"
    issuer: str = ISSUER
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str | None = None

    def __post_init__(self) -> None:
        """Fill the jar as a login does."""
        key = self.world.token.keys[-1]
        self.csrf = CSRF.issue(self.subject.sid)
        self.cookies = {
            "access": access_token(key, self.subject, iss=self.issuer),
            "refresh": "gh_rt_" + "r" * 43,
            "device": "gh_dt_device",
            "csrf": self.csrf,
        }

    def cookie(self) -> str:
        """Return the Cookie header."""
        return "; ".join(f"{self.prefix}{name}={value}" for name, value in self.cookies.items())

    async def ask(
        self,
        method: str,
        target: str,
        *,
        site: Mapping[str, str] = SAME_ORIGIN,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Send a request; *site* is what the browser says of the page that asks."""
        sent = {**site, **(headers or {})}
        if self.cookies:
            sent["Cookie"] = self.cookie()
        if self.csrf is not None:
            sent["X-CSRF-Token"] = self.csrf
        return await self.world.ask(method, target, headers=sent, **options)


def set_cookies(answer: Answer) -> dict[str, tuple[str, set[str]]]:
    """Return value and attributes of each cookie an answer sets, by its name."""
    found: dict[str, tuple[str, set[str]]] = {}
    for line in answer.headers.getall("Set-Cookie", ()):
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        assert name not in found
        found[name] = (value, set(attributes))
    return found


def handing_over(world: World, sid: UUID, *, device: str | None = "gh_dt_new") -> None:
    """Let token answer as after a login or a refresh in browser mode."""
    world.token.answer = b'{"expires_in":900,"session_id":"%s"}' % str(sid).encode()
    handed = {
        "gatehouse-session": str(sid),
        "gatehouse-access-token": "new.access.token",
        "gatehouse-refresh-token": "gh_rt_new",
        **({"gatehouse-device": device} if device else {}),
    }
    world.token.headers = [(name.encode(), value.encode()) for name, value in handed.items()]
