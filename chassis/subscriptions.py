"""What a consumer does with which type of message: a table of handlers."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self, TypeVar

import asyncpg
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from chassis.bus import Binding
from chassis.database import DatabaseUnavailable, Transaction
from chassis.inbox import column_text
from contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, CloudEvent, EventData

Handler = Callable[[Transaction, CloudEvent], Awaitable[None]]
BatchHandler = Callable[[Transaction, Sequence[CloudEvent]], Awaitable[None]]
M = TypeVar("M", bound=EventData)


class Unprocessable(Exception):  # noqa: N818 - said of the message, not of us
    """No further attempt can succeed: the message goes to the dead letters at once."""


class HandlerFailed(Exception):  # noqa: N818 - a fact about the handler
    """A handler raised; the cause is why."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A type of event (or a topic pattern) and what happens on it, inside the transaction.

    Without a handler it only binds the queue: a consumer with a batch handler needs no more.
    """

    type: str
    handler: Handler | None = None
    exchange: str = EVENTS_EXCHANGE

    @classmethod
    def command(cls, type_: str, handler: Handler) -> Self:
        """Subscribe to private work orders of this type."""
        return cls(type_, handler, COMMANDS_EXCHANGE)

    @property
    def binding(self) -> Binding:
        """Return what the queue must be bound to."""
        return Binding(self.type, self.exchange)


def data_of(event: CloudEvent, model: type[M]) -> M:
    """Return the event's data as *model*. Raises Unprocessable."""
    try:
        return model.model_validate(event.data)
    except ValidationError as error:
        fields = sorted({".".join(map(str, found["loc"])) for found in error.errors()})
        raise Unprocessable(f"data of {event.type}: {', '.join(fields)}") from None


def describe(error: BaseException) -> str:
    """Say what went wrong and where, without values: messages of exceptions may hold secrets."""
    if isinstance(error, Unprocessable):
        return column_text(str(error))
    cause = error.__cause__ or error if isinstance(error, HandlerFailed) else error
    name = type(cause).__name__
    if isinstance(cause, DBAPIError):
        name = f"{name} {getattr(cause.orig, 'sqlstate', None)}"
    frames = traceback.extract_tb(cause.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{name} at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else name


class Handlers:
    """The subscriptions of one consumer, and the way to call them."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        batch_handler: BatchHandler | None = None,
        *,
        timeout: timedelta,
    ) -> None:
        self._subscriptions = tuple(subscriptions)
        self._batch_handler = batch_handler
        self._timeout = timeout

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Return what the consumer's queue must be bound to."""
        return tuple(subscription.binding for subscription in self._subscriptions)

    def refusal(self, event: CloudEvent, routing_key: str | None = None) -> str | None:
        """Say why *event* has no business in this queue, or None."""
        if routing_key is not None and routing_key != event.type:
            return "the type is not the routing key"
        return None if self._find(event) else "no subscription for this type"

    async def call(self, tx: Transaction, events: Sequence[CloudEvent]) -> None:
        """Have the effect of *events*, in order, in *tx*.

        Raises DatabaseUnavailable and database errors as they are, Unprocessable, or
        HandlerFailed: a timeout towards something else must not look like our database's.
        """
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                await self._call(tx, events)
        except (DatabaseUnavailable, Unprocessable, SQLAlchemyError, asyncpg.PostgresError):
            raise
        except Exception as error:
            raise HandlerFailed from error

    async def _call(self, tx: Transaction, events: Sequence[CloudEvent]) -> None:
        if self._batch_handler is not None:
            await self._batch_handler(tx, events)
            return
        for event in events:
            subscription = self._find(event)
            if subscription is None or subscription.handler is None:
                raise Unprocessable("no subscription for this type")
            await subscription.handler(tx, event)

    def _find(self, event: CloudEvent) -> Subscription | None:
        return next((s for s in self._subscriptions if _matches(s, event)), None)


def _matches(subscription: Subscription, event: CloudEvent) -> bool:
    return subscription.binding.matches(subscription.exchange, event.type)
