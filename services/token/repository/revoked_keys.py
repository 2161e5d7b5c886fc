"""Signing keys that were revoked: a short list that gateways read with the deny list."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chassis.database import Transaction
from services.token.domain.keys import MAX_REVOKED, RevokedKey
from services.token.models import revoked_signing_keys

c = revoked_signing_keys.c
_NEWEST_FIRST = (c.revoked_at.desc(), c.kid)


async def add_revoked(tx: Transaction, key: RevokedKey) -> None:
    """Put a key on the list; beyond `MAX_REVOKED` the oldest ones leave it."""
    values = {column.name: getattr(key, column.name) for column in c}
    await tx.execute(sa.insert(revoked_signing_keys).values(values))
    kept = sa.select(c.kid).order_by(*_NEWEST_FIRST).limit(MAX_REVOKED)
    await tx.execute(sa.delete(revoked_signing_keys).where(c.kid.not_in(kept)))


async def find_revoked(tx: Transaction, kid: str) -> RevokedKey | None:
    """Return the revoked key of that name."""
    row = (await tx.execute(sa.select(revoked_signing_keys).where(c.kid == kid))).first()
    return _revoked(row) if row else None


async def list_revoked(tx: Transaction) -> Sequence[RevokedKey]:
    """Return all of them, the newest first."""
    rows = await tx.execute(sa.select(revoked_signing_keys).order_by(*_NEWEST_FIRST))
    return [_revoked(row) for row in rows]


async def list_revoked_kids(tx: Transaction) -> tuple[str, ...]:
    """Return their names, the newest first."""
    rows = await tx.execute(sa.select(c.kid).order_by(*_NEWEST_FIRST))
    return tuple(row.kid for row in rows)


async def delete_revoked(tx: Transaction, *, before: datetime) -> None:
    """Forget what was revoked before a time."""
    old = sa.select(c.kid).where(c.revoked_at < before).limit(MAX_REVOKED)
    await tx.execute(sa.delete(revoked_signing_keys).where(c.kid.in_(old)))


def _revoked(row: sa.Row[Any]) -> RevokedKey:
    return RevokedKey(
        kid=row.kid,
        algorithm=row.algorithm,
        published_at=row.published_at,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
        revoked_at=row.revoked_at,
        successor=row.successor,
        reason=row.reason,
    )
