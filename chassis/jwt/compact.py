"""The compact form, read strictly: what libraries let pass is refused here (RFC 7515 §7.1)."""

from json import JSONDecoder
from typing import Any, Final, NoReturn

from chassis.crypto import b64decode
from chassis.jwt.errors import InvalidToken

MAX_TOKEN_CHARACTERS: Final = 8192


def segments(token: str) -> tuple[str, str, str]:
    """Take the compact form apart (RFC 7515 §7.1). Raises InvalidToken."""
    parts = token.split(".") if len(token) <= MAX_TOKEN_CHARACTERS else []
    if len(parts) != 3 or not (parts[0] and parts[1] and parts[2]):  # noqa: PLR2004 - as returned
        raise InvalidToken("form")
    return parts[0], parts[1], parts[2]


def decoded(segment: str) -> bytes:
    """Return what a segment encodes. Raises InvalidToken."""
    try:
        return b64decode(segment)
    except ValueError:
        raise InvalidToken("form") from None


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
