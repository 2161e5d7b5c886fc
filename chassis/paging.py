"""Pages of a list: an opaque cursor is the id of the last row seen."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chassis.http import QueryModel

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


def _cursor(text: str) -> str:
    try:
        read_cursor(text)
    except ValueError as error:
        reason = {"reason": str(error)}
        raise PydanticCustomError("invalid_cursor", "This is {reason}.", reason) from None
    return text


class PageQuery(QueryModel):
    """Which part of a list is asked for."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[str, AfterValidator(_cursor)] | None = None

    @property
    def position(self) -> UUID | None:
        """Return the last row of the page before."""
        return None if self.cursor is None else read_cursor(self.cursor)
