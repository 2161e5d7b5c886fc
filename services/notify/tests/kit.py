"""What notify's tests share: messages as others send them, and a transport that records."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from chassis.clock import SystemClock
from chassis.crypto import seal
from chassis.database import Database
from chassis.ids import uuid7
from chassis.outbox import Outbox
from chassis.testing import FixedClock
from contracts.commands import SendPasswordResetMail, SendSecretMail, SendVerificationMail
from contracts.envelope import CloudEvent, EventData
from contracts.identity import UserRegistered
from services.notify.consumers import Reactions, subscriptions
from services.notify.domain.messages import Verdict
from services.notify.models import inbox_messages, messages, outbox
from services.notify.repository import ledger
from services.notify.service.delivery import Delivery
from services.notify.transports import Mail

BASE_URL = "https://id.example"
SECURITY_EMAIL = "security@gatehouse.example"
KEYS = (bytes(range(32)),)
TOKEN = "canary-7Qx_secret/of?the=person&and#more"

_CLOCK = SystemClock()


class RecordingTransport:
    """Keeps the mails it was given; before that raises what `failures` holds, in order."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.failures: list[Exception] = []

    async def send(self, mail: Mail) -> None:
        """Record *mail*, or fail as planned."""
        if self.failures:
            raise self.failures.pop(0)
        self.mails.append(mail)


@dataclass
class House:
    """Notify from its handlers to its transport, on a database of its own."""

    database: Database
    clock: FixedClock
    due: asyncio.Event
    outbox: Outbox
    transport: RecordingTransport
    reactions: Reactions
    delivery: Delivery
    user_id: UUID = field(default_factory=uuid4)

    async def receive(self, event: CloudEvent) -> None:
        """Have the effect of *event*, as a consumer without its inbox would."""
        handlers = {
            subscription.type: subscription.handler
            for table in subscriptions(self.reactions).values()
            for subscription in table
        }
        handler = handlers[event.type]
        assert handler is not None
        async with self.database.transaction() as tx:
            await handler(tx, event)

    async def register(self, *, email: str = "ada@example.org", username: str = "ada") -> None:
        """Receive the registration of the house's user."""
        await self.receive(
            fact(UserRegistered(user_id=self.user_id, email=email, username=username, roles=()))
        )

    async def deliver_all(self) -> list[Verdict]:
        """Deliver until nothing is due; return what came of each attempt."""
        verdicts = []
        while verdict := await self.delivery.deliver_next():
            verdicts.append(verdict)
        return verdicts

    async def hasten_all(self) -> None:
        """Make every waiting mail due."""
        for row in await self.rows():
            async with self.database.transaction() as tx:
                await ledger.hasten(tx, row.id)

    async def rows(self) -> Sequence[sa.Row[Any]]:
        """Return the ledger, oldest first."""
        return await rows_of(self.database, sa.select(messages).order_by(messages.c.created_at))

    async def events(self) -> list[CloudEvent]:
        """Return what was announced, oldest first."""
        found = await rows_of(
            self.database, sa.select(outbox.outbox.c.body).order_by(outbox.outbox.c.id)
        )
        return [CloudEvent.from_dict(row.body) for row in found]

    async def everything_stored(self) -> str:
        """Return every value of notify's own tables and outbox as one text."""
        tables = (messages, inbox_messages, outbox.outbox)
        found = [await rows_of(self.database, sa.select(table)) for table in tables]
        return repr([tuple(row) for rows in found for row in rows])


async def rows_of(database: Database, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    """Return all rows of *statement*."""
    async with database.transaction() as tx:
        return (await tx.execute(statement)).all()


def fact(data: EventData, *, version: int = 1) -> CloudEvent:
    """Return *data* as its service publishes it."""
    return CloudEvent(
        id=uuid7(_CLOCK),
        source="test",
        type=data.type,
        time=_CLOCK.now(),
        data=data.model_dump(mode="json"),
        subjectversion=version,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def command(
    user_id: UUID,
    *,
    model: type[SendSecretMail] = SendVerificationMail,
    email: str = "ada@example.org",
    username: str = "ada",
    token: str = TOKEN,
    expires_in: timedelta = timedelta(hours=1),
    clock: FixedClock | None = None,
    sealed_for: str | None = None,
) -> CloudEvent:
    """Return a command as identity sends it; *sealed_for* breaks the seal on purpose."""
    command_id = uuid7(_CLOCK)
    context = sealed_for or f"{model.type}:{command_id}"
    data = model(
        user_id=user_id,
        email=email,
        username=username,
        sealed_token=seal(KEYS, token.encode(), context=context),
        expires_at=(clock or _CLOCK).now() + expires_in,
    )
    return CloudEvent(
        id=command_id,
        source="identity",
        type=model.type,
        time=_CLOCK.now(),
        data=data.model_dump(mode="json"),
    )


def reset_command(user_id: UUID, **changes: Any) -> CloudEvent:
    """Return a command to mail a reset link."""
    return command(user_id, model=SendPasswordResetMail, **changes)
