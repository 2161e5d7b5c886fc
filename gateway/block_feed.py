"""How the blocked networks are kept: polled always, told by events sooner (D26).

An event is taken at its word at once, and has the next poll bring the whole list: so one that
comes late or twice is put right within a second.
"""

import asyncio
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
from chassis.networks import Address
from contracts.audit import IpBlocked, IpUnblocked
from contracts.envelope import CloudEvent
from contracts.internal import IP_BLOCKS_PATH, IpBlock, IpBlockList
from gateway.block_file import BlockFile
from gateway.blocklist import BlockList
from gateway.errors import AddressBlocked

POLL_EVERY = timedelta(milliseconds=800)
"""With the time of an answer below a second from audit's commit, without any event."""

BINDINGS = (Binding(IpBlocked.type), Binding(IpUnblocked.type))

_TIMEOUT = 1.0
log = get_logger(__name__)


class BlockFeed:
    """Feeds the list of blocked networks from audit, and refuses who is inside."""

    def __init__(
        self,
        client: InternalClient,
        clock: Clock,
        metrics: Metrics,
        *,
        blocks: BlockList,
        file: BlockFile,
    ) -> None:
        self.client = client
        self._clock = clock
        self._blocks = blocks
        self._file = file
        self._revision: str | None = None
        self._told = 0
        self._read_at = clock.now()
        self._wake = asyncio.Event()
        self._away = False
        self._metrics(metrics)

    def covers(self, address: Address) -> bool:
        """Say whether `check` would refuse *address*."""
        return self._blocks.covers(address)

    def check(self, address: Address) -> None:
        """Let *address* pass. Raises AddressBlocked."""
        if self._blocks.covers(address):
            self._refused.inc()
            raise AddressBlocked

    async def load(self) -> None:
        """Learn the list before the first request: from audit, else from the file."""
        if not await self._tried():
            known = await asyncio.to_thread(self._file.read)
            if known is None:
                log.warning("ip_blocks.unknown", reason="audit is away, and no list is kept")
                return
            self._blocks.replace(known)
            log.info("ip_blocks.loaded_from_file", blocks=len(self._blocks))

    async def watch(self, background: Background) -> None:
        """Poll for ever; the supervised task."""
        while True:
            await background.pause(POLL_EVERY, self._wake)
            await self._tried()

    async def on_event(self, event: CloudEvent) -> None:
        """Take over what an event says; the bus's callback."""
        if event.type == IpBlocked.type:
            self._blocks.add(IpBlock.model_validate(event.data))
        elif event.type == IpUnblocked.type:
            self._blocks.remove(IpUnblocked.model_validate(event.data).block_id)
        self._revision = None
        self._told += 1

    def on_bound(self) -> None:
        """Read at once what was told while no queue was there; the bus's callback."""
        self._wake.set()

    async def _tried(self) -> bool:
        """Read what is new; False, and one line per outage, when audit does not tell."""
        try:
            await self._read()
        except (DependencyUnavailable, RemoteProblem, ValidationError) as error:
            if not self._away:  # the staleness metric tells the rest
                log.warning("ip_blocks.not_read", error=type(error).__name__)
            self._away = True
            return False
        if self._away:
            log.info("ip_blocks.read_again")
        self._away = False
        return True

    async def _read(self) -> None:
        """Read the list if it changed.

        Raises DependencyUnavailable, RemoteProblem, ValidationError.
        """
        started, told, target = self._clock.now(), self._told, IP_BLOCKS_PATH
        if self._revision is not None:
            target += f"?revision={quote(self._revision, safe='')}"
        document = await self.client.call("GET", target, timeout=_TIMEOUT)
        known = IpBlockList.model_validate(document)
        if told != self._told:
            return  # the answer may be older than an event that came meanwhile: ask again
        if known.blocks is not None:
            self._blocks.replace(known.blocks)
            self._revision = known.revision
            await asyncio.to_thread(self._file.write, known)
        self._read_at = started

    def _staleness(self) -> float:
        return (self._clock.now() - self._read_at).total_seconds()

    def _metrics(self, metrics: Metrics) -> None:
        Gauge(
            "gatehouse_gateway_ip_blocks_staleness_seconds",
            "Age of what the gateway knows about blocked networks by polling.",
            registry=metrics.registry,
        ).set_function(self._staleness)
        Gauge(
            "gatehouse_gateway_ip_blocks",
            "Networks whose requests are refused.",
            registry=metrics.registry,
        ).set_function(lambda: len(self._blocks))
        self._refused = Counter(
            "gatehouse_gateway_blocked_requests",
            "Requests refused because their address is blocked.",
            registry=metrics.registry,
        )
