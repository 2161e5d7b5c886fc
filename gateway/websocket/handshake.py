"""The opening handshake: what makes a request one, and which answer accepts it (RFC 6455 §4)."""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from starlette.types import Scope

from gateway.framing import RawHeaders, values_of
from gateway.websocket.errors import HandshakeInvalid, WebSocketVersion

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_VERSION = "13"


def asks_for_websocket(scope: Scope) -> bool:
    """Say whether the request wants to become a WebSocket connection, rightly or not."""
    if scope["method"] != "GET" or scope["http_version"] != "1.1":
        return False
    return _is_switched(scope["headers"])


def key_of(headers: RawHeaders) -> str:
    """Return the key that the upstream must prove to have read.

    Raises HandshakeInvalid, WebSocketVersion.
    """
    keys = values_of(headers, b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeInvalid
    if values_of(headers, b"sec-websocket-version") != [_VERSION]:
        raise WebSocketVersion(headers={"Sec-WebSocket-Version": _VERSION})
    return keys[0]


def accepts(status: int, headers: Iterable[tuple[bytes, bytes]], key: str) -> bool:
    """Say whether an answer makes the connection that was asked for with *key*."""
    answered = [(name.lower(), value) for name, value in headers]
    proof = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return (
        status == 101  # noqa: PLR2004 - Switching Protocols
        and _is_switched(answered)
        and values_of(answered, b"sec-websocket-accept") == [base64.b64encode(proof).decode()]
    )


def _is_switched(headers: RawHeaders) -> bool:
    upgrades = [value.strip().lower() for value in values_of(headers, b"upgrade")]
    connection = ",".join(values_of(headers, b"connection")).lower().split(",")
    return upgrades == ["websocket"] and "upgrade" in {name.strip() for name in connection}


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.encode("ascii"), validate=True)) == _KEY_BYTES
    except (binascii.Error, UnicodeEncodeError):
        return False
