"""The keys access tokens are verified with: token's JWKS, polled, and refetched when one is new."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge

from chassis.background import Background
from chassis.clock import Clock
from chassis.internal import DependencyUnavailable, InternalClient, RemoteProblem
from chassis.jwt import InvalidKeySet, KeySet
from chassis.logs import get_logger
from chassis.metrics import Metrics
from contracts.internal import JWKS_PATH, JWKS_POLL
from gateway.errors import KeysUnavailable, SigningKeyRevoked

REFETCH_EVERY = timedelta(seconds=10)

_TIMEOUT = 2.0
_SOON = timedelta(milliseconds=500)
log = get_logger(__name__)


class KeyStore:
    """Holds the current key set; *on_removed* is told each `kid` that is gone.

    While token is away the last set stays in use. A revoked key leaves it at once and never comes
    back, whoever still publishes it: whoever stole one signs tokens that last as long as they like.
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
        self._revoked: set[str] = set()
        self._fetching = asyncio.Lock()
        self._refetched: datetime | None = None
        self._fetched_at = clock.now()
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
        Gauge(
            "gatehouse_gateway_jwks_staleness_seconds",
            "Age of the key set: since token was last asked for it and answered.",
            registry=metrics.registry,
        ).set_function(self._staleness)

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

        Returns the set when it now holds the key. Many requests at once share one fetch. Raises
        SigningKeyRevoked.
        """
        if kid in self._revoked:
            raise SigningKeyRevoked
        async with self._fetching:
            if kid not in self.current().kids and self._may_refetch():
                await self._fetch()
        keys = self.current()
        return keys if kid in keys.kids else None

    def refresh_soon(self) -> None:
        """Let the poll happen now: somebody said that the keys have changed."""
        self._wake.set()

    def revoke(self, kids: Iterable[str]) -> None:
        """Trust these keys no more, and look at once for what signs instead."""
        told = set(kids) - self._revoked
        if not told:
            return
        self._revoked |= told
        if self._keys is not None:
            self._take(self._keys)
        for kid in told:
            self._on_removed(kid)
        log.warning("jwks.keys_revoked", kids=sorted(told))
        self.refresh_soon()

    async def watch(self, background: Background) -> None:
        """Poll for ever; the supervised task."""
        while True:
            async with self._fetching:
                current = await self._fetch()
            await background.pause(JWKS_POLL if current else _SOON, self._wake)

    def _staleness(self) -> float:
        return (self._clock.now() - self._fetched_at).total_seconds()

    def _may_refetch(self) -> bool:
        now = self._clock.now()
        if self._refetched is not None and now - self._refetched < REFETCH_EVERY:
            return False
        self._refetched = now
        return True

    async def _fetch(self) -> bool:
        """Fetch the set; say whether that needs no second try soon."""
        started = self._clock.now()
        try:
            keys = KeySet.from_jwks(await self._client.call("GET", JWKS_PATH, timeout=_TIMEOUT))
        except (DependencyUnavailable, RemoteProblem, InvalidKeySet) as error:
            self._fetches.labels("failed").inc()
            log.warning("jwks.not_fetched", error=type(error).__name__)
            return False
        self._fetches.labels("fetched").inc()
        self._fetched_at = started
        self._take(keys)
        # A replica of token that does not know of a revocation yet has no successor either.
        return self._revoked.isdisjoint(keys.kids)

    def _take(self, keys: KeySet) -> None:
        """Use *keys*, without those that are revoked, from now on."""
        before = self._keys.kids if self._keys else frozenset()
        trusted = (keys.find(kid) for kid in keys.kids - self._revoked)
        self._keys = KeySet(key for key in trusted if key)
        after = self._keys.kids
        self._size.set(len(after))
        for kid in before - after:
            self._on_removed(kid)
        if before != after:
            log.info("jwks.changed", kids=sorted(after))
