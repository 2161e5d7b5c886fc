"""The durable deny list: written with what causes an entry, read by gateways from a cursor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from chassis.database import Transaction
from chassis.jwt import AccessToken
from services.token.domain.revocations import Cursor, Revocation
from services.token.models import revocations

c = revocations.c

# On the driver's connection: a login waits for it when it ends the session before.
_ADD = """
INSERT INTO revocations (kind, value, below_version, revoked_until)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Entries in order, and where the next reading goes on; `revoked_keys` are always all."""

    entries: Sequence[Revocation]
    cursor: Cursor
    complete: bool
    revoked_keys: tuple[str, ...] = ()


async def add_revocations(tx: Transaction, entries: Sequence[Revocation]) -> None:
    """Put entries on the deny list."""
    if entries:
        await tx.fetch_rows(
            _ADD,
            [entry.kind for entry in entries],
            [entry.value for entry in entries],
            [entry.below_version for entry in entries],
            [entry.revoked_until for entry in entries],
        )


async def read_from(
    tx: Transaction, cursor: Cursor | None, *, now: datetime, limit: int
) -> Reading:
    """Return at most *limit* live entries after *cursor*, oldest first.

    Without a cursor the reading begins with the first entry.
    """
    began_at = cursor.began_at if cursor and cursor.last_created_at else await _database_time(tx)
    found = sa.select(revocations).where(c.revoked_until > now)
    if cursor:
        found = found.where(sa.tuple_(c.created_at, c.id) > sa.tuple_(*cursor.after))
    rows = (await tx.execute(found.order_by(c.created_at, c.id).limit(limit + 1))).all()
    page, complete = rows[:limit], len(rows) <= limit
    entries = [
        Revocation(
            kind=row.kind,
            value=row.value,
            below_version=row.below_version,
            revoked_until=row.revoked_until,
        )
        for row in page
    ]
    if complete:
        return Reading(entries, Cursor(began_at), complete=True)
    return Reading(entries, Cursor(began_at, page[-1].created_at, page[-1].id), complete=False)


async def is_denied(tx: Transaction, token: AccessToken, *, now: datetime) -> bool:
    """Say whether an entry is about *token*: by itself, its session, or its subject's version."""
    values = {"jti": token.jti, "sid": token.sid, "sub": token.sub}
    about = sa.tuple_(c.kind, c.value).in_(list(values.items()))
    old_enough = c.below_version.is_(None) | (c.below_version > token.ver)
    found = sa.select(c.id).where(
        c.value.in_(list(values.values())) & about & old_enough & (c.revoked_until > now)
    )
    return await tx.scalar(found.limit(1)) is not None


async def delete_outlived(tx: Transaction, *, now: datetime, limit: int) -> int:
    """Delete at most *limit* entries whose time is over; return how many.

    The rows are not locked first: who may lock may also update, and no entry is ever changed.
    """
    old = sa.select(c.id).where(c.revoked_until <= now).order_by(c.revoked_until).limit(limit)
    return (await tx.execute(sa.delete(revocations).where(c.id.in_(old)))).rowcount


async def _database_time(tx: Transaction) -> datetime:
    """Return the time by which `created_at` is given, the same for every replica."""
    moment: datetime = await tx.scalar(sa.select(sa.func.now()))
    return moment
