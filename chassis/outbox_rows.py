"""The statements on outbox rows: claim, number, mark, postpone, push, prune, measure.

Leases are taken and compared in the database's time, so that clocks of machines do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Database
from chassis.outbox import OutboxTables
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent

_ERROR_LENGTH = 200

# The relay's own two statements, on the driver's connection: every event passes them. Each is a
# transaction of its own. The counter moves with the rows that are numbered: it leaves no gaps.
# Rows are found by an array of ids, whatever the planner believes of the size of a batch.
_CLAIM = """
WITH due AS (
    SELECT id, exchange, producerseq FROM outbox
    WHERE published_at IS NULL AND (leased_until IS NULL OR leased_until < now())
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
), fresh AS (
    SELECT id FROM due WHERE exchange = $4 AND producerseq IS NULL
), counter AS (
    INSERT INTO outbox_sequence AS s (id, value)
    SELECT 1, count(*) FROM fresh HAVING count(*) > 0
    ON CONFLICT (id) DO UPDATE SET value = s.value + excluded.value RETURNING value
)
UPDATE outbox SET leased_by = $1, leased_until = now() + $2::interval,
    producerseq = coalesce(
        producerseq,
        (SELECT value FROM counter) - (SELECT count(*) FROM fresh)
            + array_position(ARRAY (SELECT id FROM fresh ORDER BY id), id)
    )
WHERE id = ANY (ARRAY (SELECT id FROM due))
RETURNING id, event_id, exchange, routing_key, attempts, (
    body || CASE WHEN producerseq IS NULL THEN '{}'
        ELSE jsonb_build_object('producerseq', producerseq::text) END
)::text AS body
"""

# Nobody waits for the disk: what a crash forgets is published again, with the same number.
_MARK = """
UPDATE outbox SET published_at = now(), leased_by = NULL, leased_until = NULL
WHERE id = ANY ($1::bigint[]) AND published_at IS NULL
    AND set_config('synchronous_commit', 'off', true) = 'off'
"""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A claimed row; `attempts` counts failures of the way (bus or push) it was claimed for.

    `body` is the event as it goes out, with its number.
    """

    id: int
    event_id: UUID
    exchange: str
    routing_key: str
    body: bytes
    attempts: int

    @property
    def event(self) -> CloudEvent:
        """Return the event itself."""
        return CloudEvent.from_json(self.body)


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
        self._database = database

    async def claim_unpublished(
        self, owner: UUID, *, lease: timedelta, limit: int
    ) -> list[OutboxRow]:
        """Lease due rows in order of their ids and number them, in a transaction of its own.

        A row that was claimed before keeps its number.
        """
        async with self._database.statements() as each:
            rows = await each.fetch_rows(_CLAIM, owner, lease, limit, EVENTS_EXCHANGE)
        return sorted(map(_claimed, rows), key=lambda row: row.id)

    async def mark_published(self, ids: Sequence[int]) -> None:
        """Remember that the bus confirmed these rows."""
        async with self._database.statements() as each:
            await each.fetch_rows(_MARK, list(ids))

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
        return [_to_push(row) for row in rows]

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

    def _one_of(self, ids: Sequence[int]) -> sa.ColumnElement[bool]:
        """Compare with one array parameter: one prepared statement for every batch size."""
        return self._outbox.c.id == sa.any_(sa.literal(list(ids), ARRAY(sa.BigInteger)))

    async def _update(self, where: sa.ColumnElement[bool], **values: Any) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(sa.update(self._outbox).where(where).values(**values))


def _claimed(row: asyncpg.Record) -> OutboxRow:
    return OutboxRow(
        id=row["id"],
        event_id=row["event_id"],
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        body=row["body"].encode(),
        attempts=row["attempts"],
    )


def _to_push(row: sa.Row[Any]) -> OutboxRow:
    event = CloudEvent.from_dict(row.body)
    numbered = event if row.producerseq is None else event.numbered(row.producerseq)
    return OutboxRow(
        id=row.id,
        event_id=row.event_id,
        exchange=row.exchange,
        routing_key=row.routing_key,
        body=numbered.to_json(),
        attempts=row.push_attempts,
    )
