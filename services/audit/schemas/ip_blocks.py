"""Bodies and answers about IP blocks."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BeforeValidator, Field

from chassis.errors import FieldError, InvalidInput
from chassis.http import QueryModel, RequestModel, ResponseModel
from chassis.networks import Address, plain_address
from services.audit.domain.ip_blocks import (
    LONGEST,
    Cause,
    IpBlock,
    NotBlockableError,
    Wanted,
    parse_block,
)
from services.audit.schemas.log import Moment


def parse_address(value: object) -> Address:
    """Read one address of a query. Raises ValueError."""
    try:
        return plain_address(str(value))
    except ValueError:
        raise ValueError("an IP address is wanted") from None


class BlockRequest(RequestModel):
    """What to block, why, and until when: without a time until it is lifted."""

    cidr: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    expires_at: Moment | None = None
    duration_minutes: Annotated[int, Field(ge=1)] | None = None
    force: bool = False

    def wanted(self, now: datetime) -> Wanted:
        """Return the block asked for. Raises InvalidInput."""
        try:
            network = parse_block(self.cidr)
        except NotBlockableError as error:
            raise _refused("cidr", error.code, str(error)) from None
        return Wanted(
            network=network, reason=self.reason, expires_at=self._until(now), force=self.force
        )

    def _until(self, now: datetime) -> datetime | None:
        if self.duration_minutes is not None:
            if self.expires_at is not None:
                raise _refused("duration_minutes", "ambiguous", "expires_at says it already.")
            if self.duration_minutes > LONGEST // timedelta(minutes=1):
                raise _refused("duration_minutes", "too_long", "Ten years is the most.")
            return now + timedelta(minutes=self.duration_minutes)
        if self.expires_at is not None and not now < self.expires_at <= now + LONGEST:
            raise _refused("expires_at", "out_of_range", "Wanted: in the future, within ten years.")
        return self.expires_at


class BlocksQuery(QueryModel):
    """One page of the blocks; with *address* those that cover it."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: UUID | None = None
    address: Annotated[Any, BeforeValidator(parse_address)] | None = None


class RevisionQuery(QueryModel):
    """The revision a gateway has."""

    revision: Annotated[str, Field(max_length=100)] | None = None


class BlockView(ResponseModel):
    """One block as administrators see it."""

    id: UUID
    cidr: str
    cause: Cause
    reason: str
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, block: IpBlock) -> Self:
        """Show *block*."""
        return cls(
            id=block.id,
            cidr=str(block.network),
            cause=block.cause,
            reason=block.reason,
            created_at=block.created_at,
            expires_at=block.expires_at,
        )


class BlockPageView(ResponseModel):
    """One page of blocks, the newest first."""

    items: tuple[BlockView, ...]
    next_cursor: UUID | None


def _refused(field: str, code: str, detail: str) -> InvalidInput:
    return InvalidInput(errors=[FieldError(f"/{field}", code, detail)])
