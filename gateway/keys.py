"""The keys access tokens are verified with: token's JWKS, polled, and refetched when one is new."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge

from chassis.background import Background
from chassis.clock import Clock
from chassis.internal import DependencyUnavailable, InternalClient, RemoteProblem
from chassis.jwt import InvalidKeySet, KeySet
from chassis.logs import get_logger
from chassis.metrics import Metrics
from contracts.internal import JWKS_PATH
from gateway.errors import KeysUnavailable

POLL_EVERY = timedelta(seconds=5)
REFETCH_EVERY = timedelta(seconds=10)

_TIMEOUT = 2.0
log = get_logger(__name__)


class KeyStore:
    """Holds the current key set; *on_removed* is told each `kid` that is gone.

    While token is away the last set stays in use.
    """

    def __init__(
        self,
        client: InternalClient,
        clock: Clock,
        metrics: Metrics,
        *,
        on_removed: Callable[[str], None],
    ) -> None:
        self._client = client
        self._clock = clock
        self._on_removed = on_removed
        self._keys: KeySet | None = None
        self._fetching = asyncio.Lock()
        self._refetched: datetime | None = None
        self._wake = asyncio.Event()
        self._fetches = Counter(
            "gatehouse_gateway_jwks_fetches",
            "Fetches of the key set, by outcome.",
            ["outcome"],
            registry=metrics.registry,
        )
        self._size = Gauge(
            "gatehouse_gateway_verification_keys",
            "Keys that verify access tokens now.",
            registry=metrics.registry,
        )

    @property
    def loaded(self) -> bool:
        """Whether a key set is there."""
        return self._keys is not None

    def current(self) -> KeySet:
        """Return the key set. Raises KeysUnavailable before the first one was loaded."""
        if self._keys is None:
            raise KeysUnavailable(retry_after=1)
        return self._keys

    async def find_unknown(self, kid: str) -> KeySet | None:
        """Refetch because a token names *kid*, at most once per `REFETCH_EVERY`.

        Returns the set when it now holds the key. Many requests at once share one fetch.
        """
        async with self._fetching:
            if kid not in self.current().kids and self._may_refetch():
                await self._fetch()
        keys = self.current()
        return keys if kid in keys.kids else None

    def refresh_soon(self) -> None:
        """Let the poll happen now: somebody said that the keys have changed."""
        self._wake.set()

    async def watch(self, background: Background) -> None:
        """Poll for ever; the supervised task."""
        while True:
            async with self._fetching:
                loaded = await self._fetch()
            await background.pause(POLL_EVERY if loaded else POLL_EVERY / 10, self._wake)

    def _may_refetch(self) -> bool:
        now = self._clock.now()
        if self._refetched is not None and now - self._refetched < REFETCH_EVERY:
            return False
        self._refetched = now
        return True

    async def _fetch(self) -> bool:
        try:
            keys = KeySet.from_jwks(await self._client.call("GET", JWKS_PATH, timeout=_TIMEOUT))
        except (DependencyUnavailable, RemoteProblem, InvalidKeySet) as error:
            self._fetches.labels("failed").inc()
            log.warning("jwks.not_fetched", error=type(error).__name__)
            return False
        self._fetches.labels("fetched").inc()
        before = self._keys.kids if self._keys else frozenset()
        self._keys = keys
        self._size.set(len(keys.kids))
        for kid in before - keys.kids:
            self._on_removed(kid)
        if before != keys.kids:
            log.info("jwks.changed", kids=sorted(keys.kids))
        return True
