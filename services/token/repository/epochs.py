"""Global revocations: how many there were is the epoch that a session must be of to live."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from chassis.database import Transaction
from services.token.models import global_revocations

MAX_KEPT = 50
"""How many global revocations are remembered; the newest alone says which sessions live."""

EPOCH = "(SELECT coalesce(max(epoch), 0) FROM global_revocations)"
"""The present epoch, for the hot statements."""

c = global_revocations.c
present_epoch = sa.select(sa.func.coalesce(sa.func.max(c.epoch), 0)).scalar_subquery()


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalRevocation:
    """The end of every session of an earlier epoch."""

    epoch: int
    revoked_at: datetime
    reason: str
    actor: str | None


async def read_epoch(tx: Transaction) -> int:
    """Return the present epoch."""
    epoch: int = await tx.scalar(sa.select(present_epoch))
    return epoch


async def find_newest(tx: Transaction) -> GlobalRevocation | None:
    """Return the revocation that began the present epoch; None in the first one."""
    found = sa.select(global_revocations).order_by(c.epoch.desc()).limit(1)
    row = (await tx.execute(found)).one_or_none()
    if row is None:
        return None
    return GlobalRevocation(
        epoch=row.epoch, revoked_at=row.revoked_at, reason=row.reason, actor=row.actor
    )


async def begin_epoch(
    tx: Transaction, *, reason: str, actor: str | None, now: datetime
) -> GlobalRevocation:
    """End every session there is; whoever calls holds the lock under which keys change."""
    begun = GlobalRevocation(
        epoch=await read_epoch(tx) + 1, revoked_at=now, reason=reason, actor=actor
    )
    values = {column.name: getattr(begun, column.name) for column in c}
    await tx.execute(sa.insert(global_revocations).values(values))
    await tx.execute(sa.delete(global_revocations).where(c.epoch <= begun.epoch - MAX_KEPT))
    return begun
