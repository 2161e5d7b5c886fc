"""Campaigns: many sources doing the same, each of them quietly, as a botnet does."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.networks import Network
from services.audit.domain.detection.rules import Thresholds

EVERYWHERE = "everywhere"

_WITHOUT_COMMON_AGENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A source that tried several accounts and hardly got in anywhere."""

    source: Network
    agent: str
    accounts: int
    failures: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Suspects that belong together; `scope` is their agent, or everywhere."""

    scope: str
    suspects: tuple[Suspect, ...]


def scope_of(agent: str) -> str:
    """Return the scope of those who come by *agent*."""
    return f"agent:{agent}"


def campaigns(suspects: Sequence[Suspect], thresholds: Thresholds) -> tuple[Campaign, ...]:
    """Return what *suspects*, all of one window, amount to.

    Those who share a user agent make one campaign. Of the rest, whose agents say nothing, three
    times as many are wanted.
    """
    by_agent: dict[str, list[Suspect]] = defaultdict(list)
    for suspect in suspects:
        by_agent[suspect.agent].append(suspect)
    found, rest = [], []
    for agent, alike in sorted(by_agent.items()):
        if len(alike) >= thresholds.stuffing_addresses:
            found.append(Campaign(scope=scope_of(agent), suspects=tuple(alike)))
        else:
            rest += alike
    if len(rest) >= _WITHOUT_COMMON_AGENT * thresholds.stuffing_addresses:
        found.append(Campaign(scope=EVERYWHERE, suspects=tuple(rest)))
    return tuple(found)
