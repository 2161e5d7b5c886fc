"""Headers on their way in and out: what is one hop's own stays, what says who calls is ours."""

import re
from collections.abc import Iterable
from typing import Self

from multidict import CIMultiDict
from yarl import URL

from contracts.browser import DEVICE_HEADER
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

Headers = list[tuple[bytes, bytes]]

# A cookie without a name is sent back as its value alone: `=gatehouse-x` is `gatehouse-x`.
_PLATFORM_COOKIE = re.compile(rb"(?i)[\s=]*(__Host-|__Secure-)?gatehouse[-_]")
_NO_BODY = frozenset({204, 304})


class OutgoingHeaders:
    """Writes the headers of forwarded requests; *scheme* and *host* are the public ones."""

    def __init__(self, *, scheme: str, host: str) -> None:
        self._scheme = scheme
        self._host = host

    @classmethod
    def under(cls, public_base_url: str) -> Self:
        """Return the one for a gateway that people reach by this URL."""
        public = URL(public_base_url)
        return cls(scheme=public.scheme, host=public.host_port_subcomponent or "")

    def build(self, request: Inbound) -> CIMultiDict[str]:
        """Return what the upstream gets, without an assertion."""
        headers: CIMultiDict[str] = CIMultiDict()
        changes = request.route.headers.request
        for name, value in _end_to_end(request.headers):
            kept = None if changes.drops(name) else _for_upstream(name, value, request)
            if kept is not None:
                headers.add(name, _text(kept))
        if request.framing.has_body and request.framing.content_length is not None:
            headers["content-length"] = str(request.framing.content_length)
        headers["x-forwarded-for"] = headers["x-real-ip"] = str(request.address)
        headers["x-forwarded-proto"] = self._scheme
        headers["x-forwarded-host"] = self._host
        headers["x-request-id"] = request.state.request_id
        headers["traceparent"] = str(request.state.trace)
        if request.principal and not request.upstream.service:
            headers["x-auth-subject"] = str(request.principal.user_id)
            headers["x-auth-session"] = str(request.principal.session_id)
            headers["x-auth-roles"] = ",".join(sorted(request.principal.roles))
        headers.update(request.told)
        headers.update(changes.set)
        return headers


def answer_headers(
    raw: Iterable[tuple[bytes, bytes]],
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
    for name, value in _end_to_end(raw):
        if name in DROPPED_FROM_ANSWERS or (name == "content-length" and status in _NO_BODY):
            continue
        if changes.drops(name):
            continue
        if name in FOR_THE_WHOLE_HOST and not service:
            continue
        if name == "set-cookie" and not service and _PLATFORM_COOKIE.match(value):
            continue
        kept.append((name.encode("latin-1"), value))
    return kept


def _for_upstream(name: str, value: bytes, request: Inbound) -> bytes | None:
    """Return the value of an end-to-end header as the upstream gets it, or None."""
    if name in FRAMING or is_identity(name):
        return None
    if name == "authorization":
        return value if request.route.forward_token else None
    if name.startswith("gatehouse"):
        return value if _is_device_of_ours(name, request) else None
    if name == CSRF_HEADER and (request.in_browser or has_form(value.decode("latin-1"))):
        return None  # it was meant for this gateway; anything else is a product's own
    if name == "cookie":
        return None if request.upstream.service else _foreign_cookies(value)
    return value


def _is_device_of_ours(name: str, request: Inbound) -> bool:
    """Say whether it is the device token for our service: it opens what is locked for others.

    All other such headers are the gateway's to write; in browser mode also this one.
    """
    return name == DEVICE_HEADER and request.upstream.service and not request.in_browser


def _foreign_cookies(value: bytes) -> bytes | None:
    pairs = [pair for pair in value.split(b";") if not _PLATFORM_COOKIE.match(pair)]
    return b";".join(pairs).strip() or None


def _end_to_end(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, bytes]]:
    """Return the headers without those of one hop, also the ones Connection names."""
    headers = [(name.decode("latin-1").lower(), value) for name, value in raw]
    named = {
        token.strip().lower()
        for name, value in headers
        if name == "connection"
        for token in value.decode("latin-1").split(",")
    }
    return [(name, value) for name, value in headers if name not in HOP_BY_HOP | named]


def _text(value: bytes) -> str:
    """Return the value as the client library writes it back: as UTF-8, the same bytes."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
