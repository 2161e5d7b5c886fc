"""Names that are somebody's already: the one refusal, with each field named."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from chassis.database import Transaction
from chassis.errors import FieldError
from services.identity.errors import AlreadyTaken
from services.identity.repository import names


def taken_error(fields: Iterable[str]) -> AlreadyTaken:
    """Return the refusal that names *fields* (`email`, `username`)."""
    return AlreadyTaken(
        errors=[
            FieldError(f"/{field}", f"{field}_taken", "Somebody has this already.")
            for field in fields
        ]
    )


async def refuse_taken(
    tx: Transaction,
    *,
    now: datetime,
    except_for: UUID,
    email_folded: str | None = None,
    username: str | None = None,
) -> None:
    """Refuse names that another account has or may claim. Raises AlreadyTaken."""
    taken = await names.list_taken(
        tx, email_folded=email_folded, username=username, now=now, except_for=except_for
    )
    if taken:
        raise taken_error(taken)
