"""Which of the two modes a request is in, and what it proves itself with: never both (D14).

An Authorization header means API mode, whatever it holds: then no cookie is looked at. Without
one, cookies of a session mean browser mode, and whatever may change something needs proof that a
page of ours asks for it. Login alone chooses, by the header `Gatehouse-Mode`.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from starlette.types import Scope

from chassis.jwt import AccessToken
from contracts.browser import BROWSER_MODE, DEVICE_HEADER, MODE_HEADER, REFRESH_TOKEN_HEADER
from gateway.browser.cookies import Cookies, PlatformCookies
from gateway.browser.csrf import CsrfTokens
from gateway.browser.origins import TrustedOrigins
from gateway.errors import (
    CsrfTokenForeign,
    CsrfTokenInvalid,
    CsrfTokenMissing,
    MixedModes,
    UnknownMode,
)
from gateway.framing import RawHeaders, values_of
from gateway.routing.table import Route
from gateway.websocket.handshake import asks_for_websocket

CSRF_HEADER = "x-csrf-token"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_VARY = {"Vary": "Cookie, Origin, Sec-Fetch-Site"}


@dataclass(slots=True, kw_only=True)  # not frozen: each field of each request would cost a call
class Credentials:
    """What a request came with, of one mode alone.

    `authorization` are the values of that header; in browser mode the access cookie stands in for
    it. `proven_sid` is the session whose CSRF token came along with what may change something.
    """

    in_browser: bool = False
    authorization: Sequence[str] = field(default=(), repr=False)
    refresh: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)
    proven_sid: UUID | None = None

    def told_to(self, route: Route, token: AccessToken | None) -> Mapping[str, str]:
        """Return the headers that tell the upstream of *route* what the cookies held.

        The refresh token and the device go to the routes of the session and nowhere else; the
        verified access token to who would have got the Authorization header.
        """
        if not self.in_browser:
            return {}
        if route.session is None:
            forwarded = route.forward_token and token is not None
            return {"authorization": self.authorization[0]} if forwarded else {}
        told = {REFRESH_TOKEN_HEADER: self.refresh, DEVICE_HEADER: self.device}
        return {MODE_HEADER: BROWSER_MODE} | {name: text for name, text in told.items() if text}


class ClientModes:
    """Decides the mode of each request, and refuses what browser mode does not prove."""

    def __init__(self, cookies: PlatformCookies, csrf: CsrfTokens, origins: TrustedOrigins) -> None:
        self._cookies = cookies
        self._csrf = csrf
        self._origins = origins

    def headers(self, scope: Scope, route: Route) -> Mapping[str, str]:
        """Return what an answer carries that could have been another with other cookies."""
        if not _reads_cookies(route) or values_of(scope["headers"], b"authorization"):
            return {}
        return _VARY

    def admit(self, scope: Scope, route: Route, *, opens_socket: bool = False) -> Credentials:
        """Return what the request may prove itself with on *route*.

        *opens_socket* says that it is a handshake also where *scope* does not look like one.

        Raises UnknownMode, MixedModes, AmbiguousCookies, CrossOriginRefused, CsrfTokenMissing,
        CsrfTokenInvalid.
        """
        headers: RawHeaders = scope["headers"]
        authorization = values_of(headers, b"authorization")
        if route.session == "login":
            return self._at_login(headers, authorization)
        if authorization or not _reads_cookies(route):
            return Credentials(authorization=authorization)
        cookies = self._cookies.read(headers)
        if not cookies.access and not cookies.refresh:
            return Credentials()
        if opens_socket or (route.websocket and asks_for_websocket(scope)):
            self._origins.check_socket(headers)
        changes = scope["method"] not in _SAFE_METHODS
        return Credentials(
            in_browser=True,
            authorization=(f"Bearer {cookies.access}",) if cookies.access else (),
            refresh=cookies.refresh,
            device=cookies.device,
            proven_sid=self._proof(headers, cookies) if changes else None,
        )

    def check_session(self, credentials: Credentials, token: AccessToken | None) -> None:
        """Hold the proven session against that of the access token. Raises CsrfTokenForeign."""
        if token and credentials.proven_sid not in (None, token.session_id):
            raise CsrfTokenForeign

    def _at_login(self, headers: RawHeaders, authorization: Sequence[str]) -> Credentials:
        """Return the chosen mode; of earlier cookies only that of the device means anything."""
        modes = values_of(headers, MODE_HEADER.encode())
        if not modes:
            return Credentials(authorization=authorization)
        if modes != [BROWSER_MODE]:
            raise UnknownMode
        if authorization:
            raise MixedModes
        self._origins.check_change(headers)
        return Credentials(in_browser=True, device=self._cookies.read(headers).device)

    def _proof(self, headers: RawHeaders, cookies: Cookies) -> UUID:
        """Return the session the CSRF token is of."""
        self._origins.check_change(headers)
        given = values_of(headers, CSRF_HEADER.encode())
        if not cookies.csrf or not any(given):
            raise CsrfTokenMissing
        sid = self._csrf.read(cookies.csrf)
        equal = hmac.compare_digest("".join(given).encode(), cookies.csrf.encode())
        if sid is None or not equal or len(given) > 1:
            raise CsrfTokenInvalid
        return sid


def _reads_cookies(route: Route) -> bool:
    return route.access != "public" or route.session is not None
