"""Requests as OAuth sends them: parameters in a form, the client's secret in it or in a header."""

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request

from chassis.http import read_body
from services.token.domain.clients import ClientCredentials
from services.token.errors import FormRequired, InvalidRequest

FORM_TYPE = "application/x-www-form-urlencoded"

_MAX_PARAMETERS = 32
_BASIC = re.compile(r"(?i:basic) +([A-Za-z0-9+/]+=*)")
_SCHEME = re.compile(r"(?i)basic(?: |$)")
_UNREADABLE = ClientCredentials("", "")


async def read_form(request: Request) -> Mapping[str, str]:
    """Read the parameters of the body (RFC 6749 appendix B); one without a value is left out.

    Raises FormRequired, PayloadTooLarge, RequestTimeout, and InvalidRequest for what is no form,
    for a parameter given twice, and for one in the query, where logs and proxies would see it.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != FORM_TYPE:
        raise FormRequired
    if request.scope["query_string"]:
        raise InvalidRequest("Parameters belong into the body.")
    pairs = _pairs(await read_body(request))
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidRequest("A parameter is given twice.")
    if not all(text.isprintable() for pair in pairs for text in pair):
        raise InvalidRequest("A parameter is not printable.")
    return {name: value for name, value in form.items() if value}


def credentials_of(request: Request, form: Mapping[str, str]) -> ClientCredentials | None:
    """Return what the client proves itself with, None when there is nothing (RFC 6749 §2.3.1).

    Raises InvalidRequest for two ways at once.
    """
    header = request.headers.get("authorization")
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if header is None:
        return ClientCredentials(client_id, secret) if client_id and secret else None
    if secret is not None:
        raise InvalidRequest("The client proves itself by header or by body, not by both.")
    if not _SCHEME.match(header):
        return None
    credentials = _basic(header)
    if client_id not in (None, credentials.client_id):
        raise InvalidRequest("Header and body name two clients.")
    return credentials


def _basic(header: str) -> ClientCredentials:
    """Read Basic credentials, whose halves are form-encoded; unreadable ones are nobody's."""
    match = _BASIC.fullmatch(header)
    try:
        decoded = base64.b64decode(match[1] if match else "", validate=True).decode("ascii")
        client_id, _, secret = decoded.partition(":")
        return ClientCredentials(
            unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
        )
    except ValueError:
        return _UNREADABLE


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise InvalidRequest("The body is not a form.") from None
