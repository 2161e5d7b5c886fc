"""GET /api/v1/auth/csrf: the CSRF token for who cannot read the cookie, or has lost it."""

from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from chassis.http import respond
from gateway.authentication import Authentication
from gateway.browser.cookies import Cookies, PlatformCookies
from gateway.browser.csrf import CsrfTokens
from gateway.browser.origins import TrustedOrigins


class CsrfEndpoint:
    """Gives the token of the session that the caller's cookies are of."""

    def __init__(
        self,
        cookies: PlatformCookies,
        csrf: CsrfTokens,
        origins: TrustedOrigins,
        authentication: Authentication,
    ) -> None:
        self._cookies = cookies
        self._csrf = csrf
        self._origins = origins
        self._authentication = authentication

    async def answer(self, request: Request) -> Response:
        """Return the token in the body, and in the cookie unless it is there already.

        Who is not logged in gets one of a session that there is not: good for nothing, and
        replaced at login. Raises CrossOriginRefused, AmbiguousCookies, KeysUnavailable.
        """
        headers = request.scope["headers"]
        self._origins.check_read(headers)
        cookies = self._cookies.read(headers)
        known = self._csrf.read(cookies.csrf)
        sid = await self._session_of(cookies) or known or uuid4()
        token = cookies.csrf if cookies.csrf and sid == known else self._csrf.issue(sid)
        response = respond({"csrf_token": token})
        if token != cookies.csrf:
            response.headers["Set-Cookie"] = self._cookies.write("csrf", token)
        if request.method == "HEAD":
            response.body = b""
        return response

    async def _session_of(self, cookies: Cookies) -> UUID | None:
        return await self._authentication.session_of(cookies.access) if cookies.access else None
