"""The mail ledger: add, claim, settle, list, erase.

Leases and due times are set and compared in the database's time, so that clocks of machines do not
matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from services.notify.domain.messages import Message, Order, Reason, State, Template, Verdict
from services.notify.models import messages

_C = messages.c


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """What an administrator looks for; `before` is the id behind which a page starts."""

    state: State | None = None
    template: Template | None = None
    user_id: UUID | None = None
    before: UUID | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent; `oldest` is the age of the mail that waits longest."""

    waiting: int
    oldest: timedelta


async def add(tx: Transaction, message_id: UUID, order: Order) -> Message | None:
    """Write *order* down as due at once; None when its source has this mail already."""
    values = {
        "id": message_id,
        "source_id": order.cause.id,
        "source_type": order.cause.type,
        "template": order.template,
        "user_id": order.user_id,
        "recipient": order.recipient,
        "recipient_name": order.recipient_name,
        "facts": order.facts,
        "sealed_token": order.sealed_token,
        "expires_at": order.expires_at,
        "state": State.WAITING,
        "next_attempt_at": sa.func.now(),
        "traceparent": order.cause.traceparent,
        "actor": order.cause.actor,
    }
    statement = (
        insert(messages)
        .values(values)
        .on_conflict_do_nothing(index_elements=["source_id", "template"])
        .returning(messages)
    )
    return _message((await tx.execute(statement)).one_or_none())


async def count_newest(tx: Transaction, template: Template, *, after: UUID, most: int) -> int:
    """Return how many mails of *template* have an id behind *after* (ids sort by time).

    Nobody counts beyond *most*.
    """
    newest = sa.select(_C.id).where(_C.id > after, _C.template == template).limit(most).subquery()
    count: int = await tx.scalar(sa.select(sa.func.count()).select_from(newest))
    return count


async def claim_due(tx: Transaction, owner: UUID, *, lease: timedelta) -> Message | None:
    """Lease the mail that is due longest, and count the attempt; None when nothing is due."""
    free = _C.leased_until.is_(None) | (_C.leased_until < sa.func.now())
    due = (
        sa.select(_C.id)
        .where((_C.state == State.WAITING) & (_C.next_attempt_at <= sa.func.now()) & free)
        .order_by(_C.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    statement = (
        sa.update(messages)
        .where(_C.id == sa.select(due.c.id).scalar_subquery())
        .values(leased_by=owner, leased_until=sa.func.now() + lease, attempts=_C.attempts + 1)
        .returning(messages)
    )
    return _message((await tx.execute(statement)).one_or_none())


async def mark(tx: Transaction, message: Message, owner: UUID, verdict: Verdict) -> bool:
    """Write down what an attempt came to; False when *owner* no longer holds the mail."""
    mine = (_C.id == message.id) & (_C.leased_by == owner) & (_C.state == State.WAITING)
    values: dict[str, Any] = {"leased_by": None, "leased_until": None, "reason": verdict.reason}
    if verdict.retry_in is not None:
        values["next_attempt_at"] = sa.func.now() + verdict.retry_in
    else:
        values |= _settled(verdict.state)
    result = await tx.execute(sa.update(messages).where(mine).values(values))
    return result.rowcount == 1


async def release_all(tx: Transaction) -> None:
    """Give up every lease: only for a process that knows it is the only one."""
    held = (_C.state == State.WAITING) & _C.leased_until.is_not(None)
    await tx.execute(sa.update(messages).where(held).values(leased_by=None, leased_until=None))


async def hasten(tx: Transaction, message_id: UUID) -> None:
    """Make a waiting mail due at once."""
    waiting = (_C.id == message_id) & (_C.state == State.WAITING)
    await tx.execute(sa.update(messages).where(waiting).values(next_attempt_at=sa.func.now()))


async def erase_user(tx: Transaction, user_id: UUID) -> Sequence[Message]:
    """Take the person out of the ledger; return the mails that were waiting and are suppressed."""
    his = _C.user_id == user_id
    nobody: dict[str, Any] = {"recipient": None, "recipient_name": None, "facts": {}}
    suppressed = await tx.execute(
        sa.update(messages)
        .where(his & (_C.state == State.WAITING))
        .values(
            nobody
            | _settled(State.SUPPRESSED)
            | {"leased_by": None, "leased_until": None, "reason": Reason.RECIPIENT_ERASED}
        )
        .returning(messages)
    )
    await tx.execute(sa.update(messages).where(his).values(nobody))
    return [_known(row) for row in suppressed]


async def find_for_update(tx: Transaction, message_id: UUID) -> Message | None:
    """Return one mail and keep it locked until the transaction ends."""
    statement = sa.select(messages).where(_C.id == message_id).with_for_update()
    return _message((await tx.execute(statement)).one_or_none())


async def list_messages(tx: Transaction, wanted: LedgerFilter, *, limit: int) -> list[Message]:
    """Return at most *limit* mails, newest first (ids sort by time)."""
    statement = sa.select(messages).order_by(_C.id.desc()).limit(limit)
    if wanted.state is not None:
        statement = statement.where(_C.state == wanted.state)
    if wanted.template is not None:
        statement = statement.where(_C.template == wanted.template)
    if wanted.user_id is not None:
        statement = statement.where(_C.user_id == wanted.user_id)
    if wanted.before is not None:
        statement = statement.where(_C.id < wanted.before)
    return [_known(row) for row in await tx.execute(statement)]


async def prune(tx: Transaction, *, retention: timedelta, limit: int) -> int:
    """Delete at most *limit* mails settled longer ago than *retention*; return how many."""
    old = (
        sa.select(_C.id)
        .where(_C.settled_at < sa.func.now() - retention)
        .order_by(_C.settled_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await tx.execute(sa.delete(messages).where(_C.id.in_(old)))).rowcount


async def backlog(tx: Transaction) -> Backlog:
    """Count what waits."""
    age = sa.func.now() - sa.func.min(_C.created_at)
    statement = sa.select(sa.func.count().label("waiting"), age.label("oldest"))
    row = (await tx.execute(statement.where(_C.state == State.WAITING))).one()
    return Backlog(row.waiting, row.oldest or timedelta())


def _settled(state: State) -> dict[str, Any]:
    """Return what every settled mail has in common: its secret is gone."""
    return {
        "state": state,
        "settled_at": sa.func.now(),
        "next_attempt_at": None,
        "sealed_token": None,
    }


def _message(row: sa.Row[Any] | None) -> Message | None:
    return None if row is None else _known(row)


def _known(row: sa.Row[Any]) -> Message:
    return Message(
        id=row.id,
        source_id=row.source_id,
        source_type=row.source_type,
        template=Template(row.template),
        user_id=row.user_id,
        recipient=row.recipient,
        recipient_name=row.recipient_name,
        facts=row.facts,
        sealed_token=row.sealed_token,
        expires_at=row.expires_at,
        state=State(row.state),
        reason=row.reason,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        created_at=row.created_at,
        settled_at=row.settled_at,
        traceparent=row.traceparent,
        actor=row.actor,
    )
