"""Scripts of attacks."""

from datetime import timedelta
from uuid import UUID, uuid4

from contracts.envelope import CloudEvent
from services.audit.tests.watch import Door

ATTACKER = "203.0.113.7"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def spraying(
    door: Door, address: str = ATTACKER, *, accounts: int = 30, start: timedelta = timedelta(0)
) -> list[CloudEvent]:
    """Return one try at each of many accounts, half of which exist."""
    return [
        door.failed(uuid4() if n % 2 else f"name-{n}", address, after=start + n * 10 * SECOND)
        for n in range(accounts)
    ]


def stuffing(door: Door, *, sources: int = 200, tries: int = 10) -> list[CloudEvent]:
    """Return a botnet's tries, each at another account, the sources in turn."""
    return [
        door.failed(
            f"leaked-{source}-{n}",
            f"198.51.{100 + source // 250}.{source % 250}",
            agent="stuffer/1.0",
            after=(n * sources + source) * SECOND,
        )
        for n in range(tries)
        for source in range(sources)
    ]


def guessing(door: Door, victim: UUID | str, *, addresses: int = 100) -> list[CloudEvent]:
    """Return a guess from each of many addresses."""
    return [
        door.failed(victim, f"198.51.100.{n + 1}", agent=f"bot/{n}", after=n * 20 * SECOND)
        for n in range(addresses)
    ]
