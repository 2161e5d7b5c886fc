"""The statements on outbox rows: claim, number, mark, postpone, push, prune, measure.

Leases are taken and compared in the database's time, so that clocks of machines do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from chassis.database import Database, Transaction
from chassis.outbox import OutboxTables
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent

_ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A claimed row; `attempts` counts failures of the way (bus or push) it was claimed for."""

    id: int
    exchange: str
    routing_key: str
    event: CloudEvent
    attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in an outbox; `oldest` is the age of the first unpublished row."""

    unpublished: int
    unpushed: int
    oldest: timedelta


class OutboxRows:
    """The outbox of one database, as relay and pusher see it."""

    def __init__(self, tables: OutboxTables, database: Database) -> None:
        self._outbox = tables.outbox
        self._sequence = tables.sequence
        self._database = database

    async def claim_unpublished(
        self, owner: UUID, *, lease: timedelta, limit: int
    ) -> list[OutboxRow]:
        """Lease due rows in order of their ids and number them, in a transaction of its own.

        A row that was claimed before keeps its number.
        """
        c = self._outbox.c
        due = self._due(c.published_at.is_(None), c.leased_until, limit)
        async with self._database.transaction() as tx:
            rows = (await tx.execute(due)).all()
            if not rows:
                return []
            numbers = await self._number(tx, rows)
            await self._lease(tx, owner, lease, [row.id for row in rows])
        return [_row(row, row.attempts, numbers.get(row.id, row.producerseq)) for row in rows]

    async def mark_published(self, ids: Sequence[int]) -> None:
        """Remember that the bus confirmed these rows."""
        c = self._outbox.c
        await self._update(
            self._one_of(ids) & c.published_at.is_(None),
            published_at=sa.func.now(),
            leased_by=None,
            leased_until=None,
        )

    async def release(self, owner: UUID, ids: Sequence[int], *, failed: bool) -> None:
        """Give up the lease on rows that were not published: they are due at once.

        *failed* counts the attempt: the bus was there and did not confirm them.
        """
        c = self._outbox.c
        where = self._one_of(ids) & (c.leased_by == owner) & c.published_at.is_(None)
        attempts = c.attempts + (1 if failed else 0)
        await self._update(where, leased_by=None, leased_until=None, attempts=attempts)

    async def release_all(self) -> None:
        """Give up every lease: only for a process that knows it is the only one."""
        c = self._outbox.c
        await self._update(
            c.published_at.is_(None) & c.leased_until.is_not(None),
            leased_by=None,
            leased_until=None,
        )
        await self._update(
            c.urgent & c.pushed_at.is_(None) & c.push_leased_until.is_not(None),
            push_leased_until=None,
        )

    async def postpone(self, row_id: int, delay: timedelta, error: str) -> None:
        """Keep a row for later that the bus did not take, and say why."""
        c = self._outbox.c
        await self._update(
            (c.id == row_id) & c.published_at.is_(None),
            leased_by=None,
            leased_until=sa.func.now() + delay,
            attempts=c.attempts + 1,
            last_error=error[:_ERROR_LENGTH],
        )

    async def claim_unpushed(self, *, lease: timedelta, limit: int) -> list[OutboxRow]:
        """Lease urgent rows that nobody has acknowledged yet."""
        c = self._outbox.c
        due = self._due(c.urgent & c.pushed_at.is_(None), c.push_leased_until, limit)
        async with self._database.transaction() as tx:
            rows = (await tx.execute(due)).all()
            if rows:
                await tx.execute(
                    sa.update(self._outbox)
                    .where(self._one_of([row.id for row in rows]))
                    .values(push_leased_until=sa.func.now() + lease)
                )
        return [_row(row, row.push_attempts, row.producerseq) for row in rows]

    async def mark_pushed(self, row_id: int) -> None:
        """Remember that the other side acknowledged this row."""
        c = self._outbox.c
        await self._update(c.id == row_id, pushed_at=sa.func.now(), push_leased_until=None)

    async def postpone_push(self, row_id: int, delay: timedelta, error: str) -> None:
        """Push this row again later, and say why."""
        c = self._outbox.c
        await self._update(
            (c.id == row_id) & c.pushed_at.is_(None),
            push_leased_until=sa.func.now() + delay,
            push_attempts=c.push_attempts + 1,
            last_error=error[:_ERROR_LENGTH],
        )

    async def prune(self, *, retention: timedelta, limit: int) -> int:
        """Delete at most *limit* rows published longer ago than *retention*; return how many.

        An urgent row that was not pushed stays, whatever its age.
        """
        c = self._outbox.c
        old = (
            sa.select(c.id)
            .where(c.published_at < sa.func.now() - retention)
            .where(sa.not_(c.urgent) | c.pushed_at.is_not(None))
            .order_by(c.published_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.transaction() as tx:
            result = await tx.execute(sa.delete(self._outbox).where(c.id.in_(old)))
        return result.rowcount

    async def backlog(self) -> Backlog:
        """Count what waits."""
        c = self._outbox.c
        unpublished = c.published_at.is_(None)
        age = sa.func.now() - sa.func.min(c.created_at)
        waiting = sa.select(sa.func.count().label("depth"), age.label("oldest")).where(unpublished)
        urgent = sa.select(sa.func.count()).where(c.urgent & c.pushed_at.is_(None))
        async with self._database.transaction() as tx:
            row = (await tx.execute(waiting)).one()
            return Backlog(row.depth, await tx.scalar(urgent), row.oldest or timedelta())

    def _due(
        self,
        waiting: sa.ColumnElement[bool],
        leased_until: sa.Column[Any],
        limit: int,
    ) -> sa.Select[Any]:
        free = leased_until.is_(None) | (leased_until < sa.func.now())
        return (
            sa.select(self._outbox)
            .where(waiting & free)
            .order_by(self._outbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

    async def _number(self, tx: Transaction, rows: Sequence[sa.Row[Any]]) -> dict[int, int]:
        """Give each unnumbered public event its place; the counter moves with this transaction."""
        c = self._outbox.c
        fresh = [
            row.id for row in rows if row.exchange == EVENTS_EXCHANGE and row.producerseq is None
        ]
        if not fresh:
            return {}
        add = insert(self._sequence).values(id=1, value=len(fresh))
        value = self._sequence.c.value
        add = add.on_conflict_do_update(index_elements=["id"], set_={"value": value + len(fresh)})
        last = await tx.scalar(add.returning(value))
        numbers = dict(zip(fresh, range(last - len(fresh) + 1, last + 1), strict=True))
        await tx.execute(
            sa.update(self._outbox)
            .where(c.id == sa.bindparam("row_id"))
            .values(producerseq=sa.bindparam("number")),
            [{"row_id": row_id, "number": number} for row_id, number in numbers.items()],
        )
        return numbers

    async def _lease(
        self, tx: Transaction, owner: UUID, lease: timedelta, ids: Sequence[int]
    ) -> None:
        until = sa.func.now() + lease
        await tx.execute(
            sa.update(self._outbox)
            .where(self._one_of(ids))
            .values(leased_by=owner, leased_until=until)
        )

    def _one_of(self, ids: Sequence[int]) -> sa.ColumnElement[bool]:
        """Compare with one array parameter: one prepared statement for every batch size."""
        return self._outbox.c.id == sa.any_(sa.literal(list(ids), ARRAY(sa.BigInteger)))

    async def _update(self, where: sa.ColumnElement[bool], **values: Any) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(sa.update(self._outbox).where(where).values(**values))


def _row(row: sa.Row[Any], attempts: int, producerseq: int | None) -> OutboxRow:
    event = CloudEvent.from_dict(row.body)
    numbered = event if producerseq is None else event.numbered(producerseq)
    return OutboxRow(row.id, row.exchange, row.routing_key, numbered, attempts)
