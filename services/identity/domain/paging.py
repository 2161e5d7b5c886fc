"""Pages of a list: an opaque cursor is the id of the last row seen."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor of the rows behind them."""

    items: Sequence[T]
    next_cursor: str | None


def write_cursor(last: UUID) -> str:
    """Return the cursor of the rows behind *last*."""
    return urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def read_cursor(text: str) -> UUID:
    """Return the id in a cursor. Raises ValueError."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return UUID(bytes=raw)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not a cursor of ours") from None
