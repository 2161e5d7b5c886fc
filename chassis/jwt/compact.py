"""The compact form, read strictly: what libraries let pass is refused here (RFC 7515 §7.1)."""

from json import JSONDecoder
from typing import Any, NoReturn

from chassis.crypto import b64decode
from chassis.jwt.errors import InvalidToken

MAX_TOKEN_CHARACTERS = 8192


def segments(token: str) -> tuple[bytes, bytes, bytes]:
    """Take the compact form apart (RFC 7515 §7.1). Raises InvalidToken."""
    parts = token.split(".") if len(token) <= MAX_TOKEN_CHARACTERS else []
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - header, payload, signature
        raise InvalidToken("form")
    try:
        header, payload, signature = (b64decode(part) for part in parts)
    except ValueError:
        raise InvalidToken("form") from None
    return header, payload, signature


def json_object(raw: bytes, part: str) -> dict[str, Any]:
    """Read one segment as a JSON object without repeated keys. Raises InvalidToken."""
    try:
        document = _JSON.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidToken(part) from None
    if not isinstance(document, dict):
        raise InvalidToken(part)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice")
    return document


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not JSON")


# `json.loads` makes one for each text.
_JSON = JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
