"""What the gateway refused, told to others: best effort, and never in the way of a request.

Refusals of one reason, route and client are counted together for a window, those included that a
service of ours asked to have reported (`contracts.denials`); then each count leaves as one
`gateway.request.denied.v1`. There is no outbox: what cannot be published is counted as dropped and
forgotten, and so is what a full table cannot take.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prometheus_client import Counter

from chassis.background import Background
from chassis.bus import BusUnavailable, EventBus, Message, Outcome
from chassis.clock import Clock
from chassis.errors import Problem
from chassis.ids import uuid7
from chassis.logs import get_logger
from chassis.metrics import Metrics
from chassis.networks import Address
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent
from contracts.gateway import RequestDenied
from gateway.address import limit_key
from gateway.routing.table import Route

WINDOW = timedelta(seconds=60)
MAX_KEYS = 1000
"""Counts kept in one window: some 500 kB, and at most so many events a minute and process."""

REPORTED = frozenset(
    {
        "address_blocked",
        "cross_origin_refused",
        "csrf_token_invalid",
        "csrf_token_missing",
        "csrf_token_of_another_session",
        "forbidden",
        "insufficient_scope",
        "invalid_token",
        "rate_limited",
        "token_revoked",
        "too_many_open_requests",
    }
)
"""Codes worth an event. That a token is missing, has expired or is stale happens every day."""

_UNMATCHED = "unmatched"
_BATCH = 100
_PUBLISH_SECONDS = 10.0
_LAST_SECONDS = 2.0
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Key:
    """What is counted together; *network* is the address, or the /64 of an IPv6 client."""

    reason: str
    route: str
    network: str
    actor: str | None


@dataclass(slots=True)
class _Count:
    """How often, and from which address at last."""

    address: Address
    refusals: int = 0


class Denials:
    """Counts refusals and publishes the counts once a window."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._counts: dict[_Key, _Count] = {}
        self._bus: EventBus | None = None
        self._dropped = Counter(
            "gatehouse_gateway_denials_dropped",
            "Refusals nobody was told about: no room for another key, or the bus was away.",
            ["cause"],
            registry=metrics.registry,
        )

    def __len__(self) -> int:
        return len(self._counts)

    def note(self, problem: Problem, route: Route | None, address: Address) -> None:
        """Count *problem* as the answer to a client; waits for nothing and never raises."""
        if problem.code in REPORTED:
            self.count(problem.code, route, address, actor=getattr(problem, "actor", None))

    def count(
        self, reason: str, route: Route | None, address: Address, *, actor: UUID | None
    ) -> None:
        """Count a refusal for *reason*; waits for nothing and never raises."""
        if self._bus is None:
            return
        key = _Key(
            reason,
            route.path if route else _UNMATCHED,
            limit_key(address),
            str(actor) if actor else None,
        )
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= MAX_KEYS:
                self._dropped.labels("full").inc()
                return
            count = self._counts[key] = _Count(address)
        count.address = address
        count.refusals += 1

    def tell(self, bus: EventBus) -> None:
        """Count from now on, and publish on *bus*; without it nothing is counted."""
        self._bus = bus

    async def watch(self, background: Background) -> None:
        """Publish once a window for ever; the supervised task."""
        while True:
            await background.pause(WINDOW)
            await self.publish(within=_PUBLISH_SECONDS)

    async def close(self) -> None:
        """Publish what was counted since the last window, if that is quickly done."""
        await self.publish(within=_LAST_SECONDS)
        self._bus = None

    async def publish(self, *, within: float) -> None:
        """Publish and forget what was counted; *within* bounds it, in seconds."""
        counts, self._counts = self._counts, {}
        if self._bus is None or not counts:
            return
        messages = [self._message(key, count) for key, count in counts.items()]
        refusals = [count.refusals for count in counts.values()]
        told = 0
        try:
            async with asyncio.timeout(within):
                for start in range(0, len(messages), _BATCH):
                    batch = slice(start, start + _BATCH)
                    outcomes = await self._bus.publish(messages[batch])
                    told += _confirmed(outcomes, refusals[batch])
        except (BusUnavailable, TimeoutError) as error:
            log.warning("denials.not_published", error=type(error).__name__)
        if told < sum(refusals):
            self._dropped.labels("bus").inc(sum(refusals) - told)

    def _message(self, key: _Key, count: _Count) -> Message:
        data = RequestDenied(
            reason=key.reason,
            route=key.route,
            count=count.refusals,
            window_seconds=int(WINDOW.total_seconds()),
        )
        event = CloudEvent(
            id=uuid7(self._clock),
            source="gateway",
            type=data.type,
            time=self._clock.now(),
            data=data.model_dump(mode="json"),
            dataschema=data.schema_uri(),
            actor=key.actor,
            ip=str(count.address),
        )
        return Message(
            id=event.id, exchange=EVENTS_EXCHANGE, routing_key=event.type, body=event.to_json()
        )


def _confirmed(outcomes: Sequence[Outcome], refusals: Sequence[int]) -> int:
    """Return how many refusals the confirmed messages tell of."""
    return sum(
        count
        for outcome, count in zip(outcomes, refusals, strict=True)
        if outcome is Outcome.CONFIRMED
    )
