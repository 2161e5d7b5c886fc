"""The transactional outbox: what a service tells others is committed with what it did (D15)."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import MOMENT, Transaction
from chassis.ids import uuid7
from contracts.envelope import (
    COMMANDS_EXCHANGE,
    EVENTS_EXCHANGE,
    CloudEvent,
    CommandData,
    EventData,
)

# On the driver's connection: this is part of almost every transaction there is.
_INSERT = """
INSERT INTO outbox (event_id, exchange, routing_key, body, urgent)
VALUES ($1, $2, $3, $4::text::jsonb, $5)
"""

_ENCODE = json.JSONEncoder(ensure_ascii=False).encode

Row = tuple[UUID, str, str, str]
"""A row to be written: event id, exchange, routing key, body as JSON text."""


@dataclass(frozen=True, slots=True)
class OutboxTables:
    """The tables of one service's outbox; `sequence` has one row: the last `producerseq` given."""

    outbox: sa.Table
    sequence: sa.Table


def outbox_tables(metadata: sa.MetaData) -> OutboxTables:
    """Declare the outbox in *metadata*; the service's own migrations create it."""
    outbox = sa.Table(
        "outbox",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("exchange", sa.Text, nullable=False),
        sa.Column("routing_key", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("producerseq", sa.BigInteger),
        sa.Column("leased_by", sa.Uuid),
        sa.Column("leased_until", MOMENT),
        sa.Column("published_at", MOMENT),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("urgent", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("push_leased_until", MOMENT),
        sa.Column("pushed_at", MOMENT),
        sa.Column("push_attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_error", sa.Text),
        # Claiming a row then writes it once more, on its page, and into no index.
        postgresql_with={"fillfactor": 50},
    )
    published, pushed = outbox.c.published_at, outbox.c.pushed_at
    _index("ix_outbox_unpublished", outbox.c.id, published.is_(None))
    _index("ix_outbox_unpushed", outbox.c.id, sa.and_(outbox.c.urgent, pushed.is_(None)))
    _index("ix_outbox_published_at", published, published.is_not(None))
    sequence = sa.Table(
        "outbox_sequence",
        metadata,
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    return OutboxTables(outbox, sequence)


class Outbox:
    """Writes events and commands of the service *source* into the caller's transaction.

    `written` and `urgent_written` are set after the commit, to wake this process's relay and
    pusher; whoever writes a `row` in a statement of its own sets `written` itself.
    """

    def __init__(self, source: str, tables: OutboxTables, clock: Clock) -> None:
        self.tables = tables
        self.written = asyncio.Event()
        self.urgent_written = asyncio.Event()
        self._source = source
        self._clock = clock

    async def emit(
        self,
        tx: Transaction,
        data: EventData,
        *,
        subject: str,
        caller: Caller | None,
        actor: str | None = None,
        subjectversion: int | None = None,
        urgent: bool = False,
    ) -> CloudEvent:
        """Announce a public fact about *subject*; return the event as it will be published.

        *actor* overrides the caller's user; *urgent* has it pushed over HTTP besides (D25).
        """
        event = self._event(data, subject, caller, actor, subjectversion)
        await self._write(tx, event, EVENTS_EXCHANGE, urgent=urgent)
        return event

    def row(
        self,
        data: EventData,
        *,
        subject: str,
        caller: Caller | None,
        actor: str | None = None,
        subjectversion: int | None = None,
    ) -> Row:
        """Return what announces a public fact, for the statement that makes it one.

        The columns are event_id, exchange, routing_key, body, and urgent, which is false.
        """
        event = self._event(data, subject, caller, actor, subjectversion)
        return _row(event, EVENTS_EXCHANGE)

    async def send(
        self,
        tx: Transaction,
        command: CommandData,
        *,
        caller: Caller | None,
        command_id: UUID | None = None,
    ) -> UUID:
        """Order private work; return the command's id.

        *command_id* (a UUIDv7) is given by who sealed a secret with it as associated data.
        """
        event = CloudEvent(
            id=command_id or uuid7(self._clock),
            source=self._source,
            type=command.type,
            time=self._clock.now(),
            data=command.model_dump(mode="json"),
            dataschema=command.schema_uri(),
            **_origin(caller, None),
        )
        await self._write(tx, event, COMMANDS_EXCHANGE, urgent=False)
        return event.id

    def _event(
        self,
        data: EventData,
        subject: str,
        caller: Caller | None,
        actor: str | None,
        subjectversion: int | None = None,
    ) -> CloudEvent:
        return CloudEvent(
            id=uuid7(self._clock),
            source=self._source,
            type=data.type,
            time=self._clock.now(),
            data=data.model_dump(mode="json"),
            subject=subject,
            dataschema=data.schema_uri(),
            subjectversion=subjectversion,
            **_origin(caller, actor),
        )

    async def _write(
        self, tx: Transaction, event: CloudEvent, exchange: str, *, urgent: bool
    ) -> None:
        await tx.fetch_row(_INSERT, *_row(event, exchange), urgent)
        tx.after_commit(self.written.set)
        if urgent:
            tx.after_commit(self.urgent_written.set)


def _row(event: CloudEvent, exchange: str) -> Row:
    return event.id, exchange, event.type, _ENCODE(event.to_dict())


def _origin(caller: Caller | None, actor: str | None) -> dict[str, Any]:
    """Return the envelope's attributes that say who, from where and in which trace."""
    if caller is None:
        return {"actor": actor}
    return {
        "actor": actor or caller.actor,
        "ip": caller.client_address,
        "useragent": caller.user_agent,
        "traceparent": caller.traceparent,
    }


def _index(name: str, column: sa.Column[Any], where: sa.ColumnElement[bool]) -> None:
    sa.Index(name, column, postgresql_where=where)
