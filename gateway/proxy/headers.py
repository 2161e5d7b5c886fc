"""Headers on their way in and out: what is one hop's own stays, what says who calls is ours."""

import re
from enum import Enum, auto
from functools import lru_cache
from typing import Self

from yarl import URL

from chassis.http1.head import Headers
from chassis.jwt import AccessToken
from chassis.middleware import SECURITY_HEADERS, raw_headers
from chassis.networks import Address
from contracts.browser import DEVICE_HEADER
from gateway.address import text_of
from gateway.browser.csrf import has_form
from gateway.browser.mode import CSRF_HEADER
from gateway.header_names import (
    DROPPED_FROM_ANSWERS,
    FOR_THE_WHOLE_HOST,
    FRAMING,
    HOP_BY_HOP,
    is_identity,
)
from gateway.proxy.inbound import Inbound
from gateway.routing.header_rules import HeaderChanges

# A cookie without a name is sent back as its value alone: `=gatehouse-x` is `gatehouse-x`.
_PLATFORM_COOKIE = re.compile(rb"(?i)[\s=]*(__Host-|__Secure-)?gatehouse[-_]")
_DEVICE = DEVICE_HEADER.encode()
_NO_BODY = frozenset({204, 304})
PRODUCT_HEADERS = raw_headers(
    {
        name: SECURITY_HEADERS[name]
        for name in ("Strict-Transport-Security", "X-Content-Type-Options")
    }
)
"""What a product's answers get when they do not say it themselves; ours get all of the chassis'."""

_REMEMBERED_NAMES = 256  # a name may be as large as all headers together


class OutgoingHeaders:
    """Writes the headers of forwarded requests; *scheme* and *host* are the public ones."""

    def __init__(self, *, scheme: str, host: str) -> None:
        self._public = [
            (b"x-forwarded-proto", scheme.encode()),
            (b"x-forwarded-host", host.encode()),
        ]

    @classmethod
    def under(cls, public_base_url: str) -> Self:
        """Return the one for a gateway that people reach by this URL."""
        public = URL(public_base_url)
        return cls(scheme=public.scheme, host=public.host_port_subcomponent or "")

    def forwarded(self, address: Address) -> Headers:
        """Return what tells the upstream for whom, and under which name, it is asked."""
        text = text_of(address).encode()
        return [(b"x-forwarded-for", text), (b"x-real-ip", text), *self._public]

    def build(self, request: Inbound) -> Headers:
        """Return what the upstream gets, without the framing and without an assertion."""
        changes = request.route.headers.request
        headers: Headers = []
        for name, value in _of_both_ends(request.headers):
            way = _way_in(name)
            if way is Way.DROPPED or (changes.names and changes.drops(name.decode("latin-1"))):
                continue
            kept = value if way is Way.PASSED else _judged(name, value, request)
            if kept is not None:
                headers.append((name, kept))
        headers += self.forwarded(request.address)
        headers.append((b"x-request-id", request.state.request_id.encode()))
        headers.append((b"traceparent", str(request.state.trace).encode()))
        if request.token and not request.upstream.service:
            headers += who_calls(request.token)
        headers += [(told.encode(), text.encode("latin-1")) for told, text in request.told.items()]
        headers += changes.encoded
        return headers


def answer_headers(
    raw: Headers,
    status: int,
    *,
    service: bool,
    changes: HeaderChanges,
) -> Headers:
    """Return what the client gets of an upstream's headers, with the *changes* of its route.

    A product's upstream may not set cookies that look like the platform's, nor speak for the
    whole host.
    """
    kept = list(changes.encoded)
    for name, value in _of_both_ends(raw):
        way = way_out(name)
        if way is Way.DROPPED or (changes.names and changes.drops(name.decode("latin-1"))):
            continue
        if way is Way.JUDGED and not (service or may_say(name, value)):
            continue
        if status in _NO_BODY and name == b"content-length":
            continue
        kept.append((name, value))
    return kept


class Way(Enum):
    """What becomes of a header by its name alone."""

    PASSED = auto()
    JUDGED = auto()
    DROPPED = auto()


@lru_cache(_REMEMBERED_NAMES)
def _way_in(name: bytes) -> Way:
    text = name.decode("latin-1")
    if text in HOP_BY_HOP or text in FRAMING or is_identity(text):
        return Way.DROPPED
    judged = text in ("authorization", "cookie", CSRF_HEADER) or text.startswith("gatehouse")
    return Way.JUDGED if judged else Way.PASSED


@lru_cache(_REMEMBERED_NAMES)
def way_out(name: bytes) -> Way:
    """Return what becomes of a header of an answer."""
    text = name.decode("latin-1")
    if text in HOP_BY_HOP or text in DROPPED_FROM_ANSWERS:
        return Way.DROPPED
    judged = text in FOR_THE_WHOLE_HOST or text == "set-cookie"
    return Way.JUDGED if judged else Way.PASSED


def _judged(name: bytes, value: bytes, request: Inbound) -> bytes | None:
    """Return the value of a header as the upstream gets it, or None."""
    if name == b"authorization":
        return value if request.route.forward_token else None
    if name == b"cookie":
        return None if request.upstream.service else _foreign_cookies(value)
    if name.startswith(b"gatehouse"):
        return value if _is_device_of_ours(name, request) else None
    if request.in_browser or has_form(value.decode("latin-1")):
        return None  # a CSRF token meant for this gateway; anything else is a product's own
    return value


def may_say(name: bytes, value: bytes) -> bool:
    """Say whether a product's answer may carry it."""
    return name == b"set-cookie" and not _PLATFORM_COOKIE.match(value)


def _is_device_of_ours(name: bytes, request: Inbound) -> bool:
    """Say whether it is the device token for our service: it opens what is locked for others.

    All other such headers are the gateway's to write; in browser mode also this one.
    """
    return name == _DEVICE and request.upstream.service and not request.in_browser


def _foreign_cookies(value: bytes) -> bytes | None:
    pairs = [pair for pair in value.split(b";") if not _PLATFORM_COOKIE.match(pair)]
    return b";".join(pairs).strip() or None


def who_calls(token: AccessToken) -> Headers:
    """Return what tells a product's upstream who calls."""
    return [
        (b"x-auth-subject", token.sub.encode()),
        (b"x-auth-session", token.sid.encode()),
        (b"x-auth-roles", ",".join(sorted(token.roles)).encode()),
    ]


def _of_both_ends(headers: Headers) -> Headers:
    """Return the headers (names in lower case) without those that Connection names."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }
    return [header for header in headers if header[0] not in named] if named else headers
