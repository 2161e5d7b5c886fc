"""The statements on inbox rows: claim, postpone, retry, bury, redrive, forget, prune, count."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from chassis.inbox import InboxTables, Letter, column_text
from chassis.logs import get_logger
from contracts.envelope import CloudEvent

log = get_logger("chassis.inbox")

# On the driver's connection: every message passes here, in batches of any size.
_CLAIM = """
INSERT INTO inbox (queue, message_id, type, source, state, done_at)
SELECT $1, message_id, type, source, 'done', now()
FROM unnest($2::uuid[], $3::text[], $4::text[]) AS claimed (message_id, type, source)
ON CONFLICT DO NOTHING RETURNING message_id
"""


class Inbox:
    """The rows of one queue in one service's inbox."""

    def __init__(self, queue: str, tables: InboxTables) -> None:
        self.queue = queue
        self._inbox = tables.inbox

    async def claim(self, tx: Transaction, events: Sequence[CloudEvent]) -> set[UUID]:
        """Write the rows of *events* as done; return the ids that were not there before.

        Whoever inserts the row has the effect; a second one waits here for the first's end.
        """
        known = {event.id: event for event in events}
        # One order for everybody: batches that overlap wait for each other, never in a circle.
        ordered = [known[message_id] for message_id in sorted(known)]
        claimed = await tx.fetch_rows(
            _CLAIM,
            self.queue,
            [event.id for event in ordered],
            [column_text(event.type) for event in ordered],
            [column_text(event.source) for event in ordered],
        )
        return {row["message_id"] for row in claimed}

    async def postpone(self, tx: Transaction, letter: Letter, delay: timedelta, error: str) -> None:
        """Keep a message whose first attempt failed, for its next one after *delay*."""
        await self._add(
            tx, letter, error, state="retry", attempts=1, next_attempt_at=sa.func.now() + delay
        )

    async def bury(self, tx: Transaction, letter: Letter, error: str) -> None:
        """Put a new message straight to the dead letters."""
        await self._add(tx, letter, error, state="dead", attempts=letter.attempts + 1)

    async def claim_due(self, tx: Transaction) -> Letter | None:
        """Lock the message whose retry is due longest, or return None."""
        c = self._inbox.c
        due = (
            sa.select(c.message_id, c.type, c.source, c.body, c.attempts)
            .where(c.queue == self.queue, c.state == "retry", c.next_attempt_at <= sa.func.now())
            .order_by(c.next_attempt_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = (await tx.execute(due)).mappings().one_or_none()
        return None if row is None else Letter(**row)

    async def finish(self, tx: Transaction, letter: Letter) -> None:
        """Mark a claimed message as done."""
        await self._move(
            tx, letter, state="done", body=None, done_at=sa.func.now(), next_attempt_at=None
        )

    async def reschedule(
        self, tx: Transaction, letter: Letter, delay: timedelta | None, error: str
    ) -> None:
        """Count a failed retry; without a *delay* the message is dead."""
        await self._move(
            tx,
            letter,
            state="retry" if delay is not None else "dead",
            attempts=letter.attempts + 1,
            next_attempt_at=None if delay is None else sa.func.now() + delay,
            last_error=error,
        )

    async def redrive(self, tx: Transaction) -> int:
        """Give every dead letter of the queue all its attempts again; return how many."""
        return await redrive(tx, InboxTables(self._inbox), self.queue)

    async def prune(self, tx: Transaction, *, retention: timedelta, limit: int) -> int:
        """Delete at most *limit* rows done longer ago than *retention*; return how many."""
        c = self._inbox.c
        old = (
            sa.select(c.queue, c.message_id)
            .where(c.state == "done", c.done_at < sa.func.now() - retention)
            .order_by(c.done_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return await self._delete(tx, old)

    async def drop_dead(self, tx: Transaction, *, keep: int, limit: int) -> int:
        """Delete at most *limit* dead letters, the oldest beyond the newest *keep*."""
        c = self._inbox.c
        beyond = (
            sa.select(c.queue, c.message_id)
            .where(c.queue == self.queue, c.state == "dead")
            .order_by(c.received_at.desc())
            .offset(keep)
            .limit(limit)
        )
        return await self._delete(tx, beyond)

    async def count(self, tx: Transaction) -> dict[str, int]:
        """Count what waits in the queue's rows by state (`retry`, `dead`)."""
        c = self._inbox.c
        found = {}
        for state in ("retry", "dead"):
            rows = sa.select(sa.func.count()).where(c.queue == self.queue, c.state == state)
            found[state] = await tx.scalar(rows)
        return found

    async def _add(self, tx: Transaction, letter: Letter, error: str, **values: Any) -> None:
        statement = insert(self._inbox).values(
            queue=self.queue,
            message_id=letter.message_id,
            type=letter.type,
            source=letter.source,
            body=letter.body,
            last_error=error,
            **values,
        )
        await tx.execute(statement.on_conflict_do_nothing())

    async def _move(self, tx: Transaction, letter: Letter, **values: Any) -> None:
        """Change a retry row, unless another replica tried it in between."""
        c = self._inbox.c
        await tx.execute(
            sa.update(self._inbox)
            .where(c.queue == self.queue, c.message_id == letter.message_id)
            .where(c.state == "retry", c.attempts == letter.attempts)
            .values(**values)
        )

    async def _delete(self, tx: Transaction, chosen: sa.Select[Any]) -> int:
        key = sa.tuple_(self._inbox.c.queue, self._inbox.c.message_id)
        return (await tx.execute(sa.delete(self._inbox).where(key.in_(chosen)))).rowcount


async def redrive(tx: Transaction, tables: InboxTables, queue: str) -> int:
    """Give every dead letter of *queue* all its attempts again, from now on; return how many."""
    c = tables.inbox.c
    result = await tx.execute(
        sa.update(tables.inbox)
        .where(c.queue == queue, c.state == "dead")
        .values(state="retry", attempts=0, next_attempt_at=sa.func.now())
    )
    return result.rowcount


async def forget_person(tx: Transaction, tables: InboxTables, person: UUID) -> int:
    """Delete the dead letters of every queue that speak of *person*; return how many.

    A service calls this where it erases a person: a dead letter keeps its event's whole body.
    """
    c = tables.inbox.c
    # position() finds bytes in bytes without reading them as text, which letters need not be.
    speaks = sa.func.position(sa.literal(str(person).encode()).op("IN")(c.body)) > 0
    result = await tx.execute(sa.delete(tables.inbox).where(c.state == "dead", speaks))
    if result.rowcount:
        log.warning("dead_letters.erased", count=result.rowcount)
    return result.rowcount
