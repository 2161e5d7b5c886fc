"""How the deny list is kept: polled always, told by events sooner (D12).

The poll alone keeps the bound of one second; the events only make it faster. Both may say the same
thing twice, entries are idempotent. Token lets each reading begin 60 s before the last one, so that
an entry which committed late is not missed.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from chassis.background import Background
from chassis.bus import Binding
from chassis.clock import Clock
from chassis.internal import DependencyUnavailable, InternalClient, RemoteProblem
from chassis.logs import get_logger
from chassis.metrics import Metrics
from contracts.envelope import CloudEvent
from contracts.internal import REVOCATIONS_PATH, Revocation, RevocationPage
from contracts.token import SessionEnded, SigningKeyRevoked, SigningKeyRotated, TokenRevoked
from gateway.denylist import DenyList
from gateway.keys import KeyStore
from gateway.streams import OpenStreams
from gateway.tokens import VerifiedTokens

POLL_EVERY = timedelta(milliseconds=500)
BINDINGS: Sequence[Binding] = tuple(
    Binding(event.type)
    for event in (SessionEnded, TokenRevoked, SigningKeyRotated, SigningKeyRevoked)
)

_TIMEOUT = 1.0
_WHEN_AWAY = timedelta(milliseconds=100)
log = get_logger(__name__)


class RevocationFeed:
    """Feeds the deny list from token, and drops verified tokens and open answers with it."""

    def __init__(
        self,
        client: InternalClient,
        clock: Clock,
        metrics: Metrics,
        *,
        denylist: DenyList,
        tokens: VerifiedTokens,
        streams: OpenStreams,
        keys: KeyStore,
    ) -> None:
        self._client = client
        self._clock = clock
        self._denylist = denylist
        self._tokens = tokens
        self._streams = streams
        self._keys = keys
        self._cursor: str | None = None
        self._read_at = clock.now()
        self._wake = asyncio.Event()
        self.complete = False
        """Whether everything that was revoked before our start has been read once."""
        self.bound = asyncio.Event()
        """Set once the queue of events was bound for the first time."""
        self._metrics(metrics)

    async def watch(self, background: Background) -> None:
        """Poll for ever; the supervised task."""
        away = False
        while True:
            try:
                await self._read()
            except (DependencyUnavailable, RemoteProblem, ValidationError) as error:
                if not away:  # one line per outage, the staleness metric tells the rest
                    log.warning("revocations.not_read", error=type(error).__name__)
                away = True
                await background.pause(_WHEN_AWAY, self._wake)
                continue
            if away:
                log.info("revocations.read_again")
            away = False
            await background.pause(POLL_EVERY, self._wake)

    async def on_event(self, event: CloudEvent) -> None:
        """Take over what an event says; the bus's callback."""
        self._events.labels(event.type).inc()
        if event.type == SessionEnded.type:
            ended = SessionEnded.model_validate(event.data)
            self._deny(
                Revocation(
                    kind="sid", value=str(ended.session_id), revoked_until=ended.revoked_until
                )
            )
        elif event.type == TokenRevoked.type:
            self._deny(Revocation.model_validate(event.data))
        elif event.type == SigningKeyRevoked.type:
            self._keys.revoke([SigningKeyRevoked.model_validate(event.data).kid])
        elif event.type == SigningKeyRotated.type:
            self._keys.refresh_soon()

    def on_bound(self) -> None:
        """Read at once what was revoked while no queue was there; the bus's callback."""
        self.bound.set()
        self._wake.set()

    def on_lost(self) -> None:
        """Say that events are missed from now on; the poll goes on."""
        log.warning("events.lost")

    async def _read(self) -> None:
        """Read everything new. Raises DependencyUnavailable, RemoteProblem, ValidationError."""
        started = self._clock.now()
        complete = False
        while not complete:
            target = REVOCATIONS_PATH
            if self._cursor is not None:
                target += f"?since={quote(self._cursor, safe='')}"
            page = RevocationPage.model_validate(
                await self._client.call("GET", target, timeout=_TIMEOUT)
            )
            self._keys.revoke(page.revoked_keys)
            for entry in page.entries:
                self._deny(entry)
            self._cursor = page.cursor
            complete = page.complete
        self._read_at = started
        self.complete = True

    def _deny(self, entry: Revocation) -> None:
        if not self._denylist.add(entry):
            return
        if entry.kind != "sub":
            # Of a subject only old versions die: the deny list tells on each use.
            self._tokens.drop(entry.kind, entry.value)
        self._streams.recheck(entry.kind, entry.value)

    def _staleness(self) -> float:
        return (self._clock.now() - self._read_at).total_seconds()

    def _metrics(self, metrics: Metrics) -> None:
        Gauge(
            "gatehouse_gateway_revocations_staleness_seconds",
            "Age of what the gateway knows about revocations by polling.",
            registry=metrics.registry,
        ).set_function(self._staleness)
        Gauge(
            "gatehouse_gateway_denylist_entries",
            "Entries of the deny list.",
            registry=metrics.registry,
        ).set_function(lambda: len(self._denylist))
        self._events = Counter(
            "gatehouse_gateway_events",
            "Events that made the deny list or the keys newer.",
            ["type"],
            registry=metrics.registry,
        )
