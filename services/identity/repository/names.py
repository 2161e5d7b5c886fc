"""Which addresses and usernames are somebody's already, or kept for somebody."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from services.identity.models import username_holds, users
from services.identity.repository import email_changes

_H = username_holds.c


async def list_taken(
    tx: Transaction,
    *,
    email_folded: str | None = None,
    username: str | None = None,
    now: datetime,
    except_for: UUID | None = None,
) -> list[str]:
    """Return which of `email` and `username` another account than *except_for* has or may claim.

    A name that is not asked about is None.
    """
    statement = sa.select(
        _email_taken(email_folded, now, except_for) if email_folded else sa.false(),
        _username_taken(username, now, except_for) if username else sa.false(),
    )
    row = (await tx.execute(statement)).one()
    return [field for field, taken in zip(("email", "username"), row, strict=True) if taken]


async def list_held(
    tx: Transaction, *, emails_folded: Sequence[str], usernames: Sequence[str], now: datetime
) -> frozenset[str]:
    """Return which of the names of new accounts are kept for somebody."""
    statement = sa.union_all(
        email_changes.held_addresses(emails_folded, now=now),
        sa.select(_H.username).where(_H.username.in_(usernames), _H.held_until > now),
    )
    return frozenset(row[0] for row in (await tx.execute(statement)).all())


async def hold_username(tx: Transaction, username: str, *, until: datetime) -> None:
    """Give *username* to nobody before *until*."""
    statement = insert(username_holds).values(username=username, held_until=until)
    latest = sa.func.greatest(_H.held_until, statement.excluded.held_until)
    await tx.execute(
        statement.on_conflict_do_update(index_elements=[_H.username], set_={"held_until": latest})
    )


def _email_taken(
    email_folded: str, now: datetime, except_for: UUID | None
) -> sa.ColumnElement[bool]:
    has = [users.c.email_folded == email_folded]
    if except_for is not None:
        has.append(users.c.id != except_for)
    held = email_changes.holds(email_folded, now=now, except_for=except_for)
    return sa.or_(sa.exists().where(*has), held)


def _username_taken(
    username: str, now: datetime, except_for: UUID | None
) -> sa.ColumnElement[bool]:
    has = [users.c.username == username]
    if except_for is not None:
        has.append(users.c.id != except_for)
    held = sa.exists().where(_H.username == username, _H.held_until > now)
    return sa.or_(sa.exists().where(*has), held)
