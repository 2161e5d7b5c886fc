"""What the signing keys tell Prometheus."""

from collections import Counter

from prometheus_client import CollectorRegistry, Gauge

from chassis.clock import Clock
from services.token.domain.keys import KeyState, RotationPolicy, find_active, find_successor
from services.token.keys import KeyRing
from services.token.service.signing_keys import KeysRead

_STATES: tuple[KeyState, ...] = ("published", "active", "retired")


class KeyMetrics:
    """Gauges as of the last look at the database."""

    def __init__(self, policy: RotationPolicy, clock: Clock, registry: CollectorRegistry) -> None:
        self._policy = policy
        self._clock = clock
        self._registry = registry
        self._count = Gauge(
            "gatehouse_token_signing_keys",
            "Signing keys in the JWKS, by state.",
            ["state"],
            registry=registry,
        )
        self._age = self._gauge("key_age_seconds", "For how long the active key has signed.")
        self._next = self._gauge(
            "key_next_rotation_timestamp_seconds", "When the next key is to sign, as Unix time."
        )
        self._to_reseal = self._gauge(
            "keys_to_reseal",
            "Stored private keys under another than the first of SIGNING_KEY_ENCRYPTION_KEYS.",
        )
        self._unopened = self._gauge(
            "keys_unopened", "Stored private keys that none of SIGNING_KEY_ENCRYPTION_KEYS opens."
        )
        self._read_at = self._gauge(
            "keys_read_timestamp_seconds", "When the keys were last read, as Unix time."
        )
        self._ahead = Gauge(
            "gatehouse_token_clock_ahead_seconds",
            "How far the clock of this process is ahead of the database's.",
            registry=registry,
        )

    def show(self, found: KeysRead, ring: KeyRing) -> None:
        """Take over what was read."""
        states = Counter(key.state for key in found.lives)
        for state in _STATES:
            self._count.labels(state).set(states[state])
        active = find_active(found.lives)
        if active:
            successor = find_successor(found.lives, self._policy)
            since = active.activated_at or active.published_at
            hands_over_at = self._policy.hands_over_at(active, successor, now=found.now)
            self._age.set((found.now - since).total_seconds())
            self._next.set(hands_over_at.timestamp())
        under = [key.sealed_under for key in found.keys if key.sealed_under]
        self._to_reseal.set(len(under) - under.count(ring.first_encryption_key))
        self._unopened.set(len(ring.unopened))
        self._read_at.set(found.now.timestamp())
        self._ahead.set((self._clock.now() - found.now).total_seconds())

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"gatehouse_token_signing_{name}", text, registry=self._registry)
