"""When a gateway may take requests: keys, the deny list and the queue of events are there (D12)."""

from chassis.health import Health
from gateway.keys import KeyStore
from gateway.revocations import RevocationFeed


def add_checks(
    health: Health, keys: KeyStore, revocations: RevocationFeed, *, with_events: bool
) -> None:
    """Have *health* ask what the process cannot work without; the queue only *with_events*."""

    async def keys_loaded() -> None:
        keys.current()

    async def revocations_read() -> None:
        if not revocations.complete:
            raise RuntimeError("the deny list was not read yet")

    async def events_bound() -> None:
        if not revocations.bound.is_set():
            raise RuntimeError("the queue of events was not bound yet")

    health.add_check("keys", keys_loaded)
    health.add_check("revocations", revocations_read)
    if with_events:
        health.add_check("events", events_bound)
