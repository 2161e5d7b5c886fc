"""Browser mode as token sees it: what cookies held and will hold comes and goes in headers (D14).

Only the gateway can have written them, since nobody else is let in. Bodies then carry no token in
either direction.
"""

from starlette.requests import Request
from starlette.responses import Response

from chassis.caller import Caller
from chassis.http import read_json, respond
from chassis.middleware import caller_of
from contracts.browser import (
    ACCESS_TOKEN_HEADER,
    BROWSER_MODE,
    DEVICE_HEADER,
    MODE_HEADER,
    REFRESH_TOKEN_HEADER,
    SESSION_HEADER,
)
from services.token.errors import CsrfTokenForeign
from services.token.schemas import BrowserRefreshRequest, BrowserSessionResponse
from services.token.service.issuing import Issued


def is_in_browser(request: Request) -> bool:
    """Say whether the request is in browser mode."""
    return request.headers.get(MODE_HEADER) == BROWSER_MODE


def proven_caller_of(request: Request) -> Caller:
    """Return the caller, whose session a CSRF token has proven. Raises CsrfTokenForeign."""
    caller = caller_of(request)
    if caller.proven_sid is None:
        raise CsrfTokenForeign
    return caller


async def refresh_token_of(request: Request) -> str:
    """Return what the cookie held, empty when there was none; in the body it is refused."""
    if has_body(request):
        await read_json(request, BrowserRefreshRequest)
    proven_caller_of(request)
    return request.headers.get(REFRESH_TOKEN_HEADER, "")


def handed_over(issued: Issued, device_token: str | None = None) -> Response:
    """Answer with what a page may know, and hand the tokens over to the gateway."""
    handed = {
        SESSION_HEADER: str(issued.session_id),
        ACCESS_TOKEN_HEADER: issued.access_token,
        REFRESH_TOKEN_HEADER: issued.refresh_token,
        DEVICE_HEADER: device_token,
    }
    headers = {name: value for name, value in handed.items() if value}
    return respond(BrowserSessionResponse.of(issued), headers=headers)


def has_body(request: Request) -> bool:
    """Say whether a body came along."""
    headers = request.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
