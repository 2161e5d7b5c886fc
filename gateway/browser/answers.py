"""The way back: what token hands over beside its answer becomes cookies, or is never seen."""

from uuid import UUID

from starlette.datastructures import MutableHeaders

from contracts.browser import (
    ACCESS_TOKEN_HEADER,
    DEVICE_HEADER,
    REFRESH_TOKEN_HEADER,
    SESSION_HEADER,
    SESSION_OVER,
)
from gateway.browser.cookies import Kind, PlatformCookies
from gateway.browser.csrf import CsrfTokens
from gateway.browser.mode import Credentials
from gateway.errors import UpstreamFailed
from gateway.framing import RawHeaders
from gateway.routing.table import Route

_OURS = b"gatehouse-"
_OF_A_SESSION: tuple[Kind, ...] = ("access", "refresh", "csrf")
_CLIENT_ERROR = 400
"""Status from which on an answer is a refusal."""

# "cookies" would take away the device, and what products of the same domain have set.
_FORGET = '"cache", "storage"'


class SessionAnswers:
    """Writes the cookies of answers in browser mode."""

    def __init__(self, cookies: PlatformCookies, csrf: CsrfTokens) -> None:
        self._cookies = cookies
        self._csrf = csrf

    def concern(self, headers: RawHeaders, credentials: Credentials) -> bool:
        """Say whether `finish` has anything to do: in API mode an answer seldom speaks to us."""
        if credentials.in_browser:
            return True
        for name, _ in headers:  # noqa: SIM110 - a generator would be called for each of them
            if name.startswith(_OURS):
                return True
        return False

    def finish(
        self, status: int, headers: MutableHeaders, route: Route | None, credentials: Credentials
    ) -> None:
        """Change the headers of an answer into those the client gets.

        Raises UpstreamFailed for a success in browser mode that hands no session over: its body
        would hold the tokens instead (a token service older than this gateway).
        """
        handed = _take_ours(headers)
        if route is None or not credentials.in_browser:
            return
        # What our cookies open is shown to the origins of CORS_ALLOWED_ORIGINS, whatever a
        # product says: for those it is added again.
        del headers["Access-Control-Allow-Credentials"]
        if route.session is not None:
            self._follow(status, headers, route, handed)

    def _follow(
        self, status: int, headers: MutableHeaders, route: Route, handed: dict[str, str]
    ) -> None:
        session = handed.get(SESSION_HEADER)
        if session == SESSION_OVER:
            self._end(headers, route)
        elif session is not None:
            self._begin(headers, handed, session, route)
        elif status < _CLIENT_ERROR:
            raise UpstreamFailed

    def _begin(
        self, headers: MutableHeaders, handed: dict[str, str], session: str, route: Route
    ) -> None:
        values: dict[Kind, str | None] = {
            "access": handed.get(ACCESS_TOKEN_HEADER),
            "refresh": handed.get(REFRESH_TOKEN_HEADER),
            "device": handed.get(DEVICE_HEADER),
            # A refresh keeps it: the other tabs hold a copy.
            "csrf": self._csrf.issue(UUID(session)) if route.session == "login" else None,
        }
        for kind, value in values.items():
            if value:
                headers.append("Set-Cookie", self._cookies.write(kind, value))

    def _end(self, headers: MutableHeaders, route: Route) -> None:
        for kind in _OF_A_SESSION:
            headers.append("Set-Cookie", self._cookies.expire(kind))
        if route.session == "logout":
            headers["Clear-Site-Data"] = _FORGET


def _take_ours(headers: MutableHeaders) -> dict[str, str]:
    """Take out what is said between the gateway and its upstreams, whoever has said it."""
    ours = {name.decode(): value for name, value in headers.raw if name.startswith(_OURS)}
    for name in ours:
        del headers[name]
    return {name: value.decode("latin-1") for name, value in ours.items()}
