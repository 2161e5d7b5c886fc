"""Findings: a rule that holds, in the form an alert is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.networks import Network
from services.audit.domain.detection.campaigns import Campaign, scope_of
from services.audit.domain.detection.evidence import Evidence
from services.audit.domain.detection.rules import AccountTally, EntryTally, Rule, SourceTally
from services.audit.domain.detection.windows import Window

SHOWN_ADDRESSES = 20
"""How many addresses an alert names; `address_count` says how many there are."""

CAMPAIGN = "campaign:"
"""What the incidents of campaigns begin with; the scope follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that holds for one window, or one fact.

    `incident` names what is attacked or attacking: findings of one incident that follow closely
    belong to one alert. `evidence` are the ids of those new facts that count for it, `attempts`
    all of the window. `hostile` are the sources that may be blocked. `scope` is the campaign whose
    part this may be.
    """

    rule: Rule
    incident: str
    user_id: UUID | None = None
    address: Network | None = None
    addresses: tuple[Network, ...] = ()
    address_count: int = 0
    accounts: int = 1
    attempts: int = 1
    first_seen: datetime
    last_seen: datetime
    hostile: tuple[Network, ...] = ()
    evidence: frozenset[int] = frozenset()
    scope: str | None = None


def of_source(tally: SourceTally, rule: Rule, fresh: Iterable[Evidence]) -> Finding:
    """Return what *rule* found at one source."""
    return Finding(
        rule=rule,
        incident=f"source:{tally.source}",
        address=tally.source,
        addresses=(tally.source,),
        address_count=tally.addresses,
        accounts=tally.barren,
        attempts=tally.failures,
        first_seen=tally.first_at,
        last_seen=tally.last_at,
        hostile=(tally.source,) if tally.is_hostile else (),
        evidence=_failures_in(tally.window, (one for one in fresh if one.source == tally.source)),
        scope=scope_of(tally.agent),
    )


def of_account(tally: AccountTally, rule: Rule, fresh: Iterable[Evidence]) -> Finding:
    """Return what *rule* found at one account; no single address is the cause."""
    return Finding(
        rule=rule,
        incident=f"guessed:{tally.account}",
        user_id=tally.user_id,
        addresses=tally.some_sources,
        address_count=tally.sources,
        attempts=tally.failures,
        first_seen=tally.first_at,
        last_seen=tally.last_at,
        evidence=_failures_in(tally.window, (one for one in fresh if one.account == tally.account)),
    )


def of_entry(tally: EntryTally, rule: Rule, fresh: Iterable[Evidence]) -> Finding:
    """Return the success that *rule* mistrusts.

    Its address is named and not blocked: it may be the owner's.
    """
    addresses = () if tally.source is None else (tally.source,)
    return Finding(
        rule=rule,
        incident=f"entered:{tally.account}",
        user_id=tally.user_id,
        address=tally.source,
        addresses=addresses,
        address_count=tally.sources,
        attempts=tally.failures,
        first_seen=tally.first_at or tally.entered_at,
        last_seen=tally.entered_at,
        evidence=frozenset(one.id for one in fresh if one.id == tally.evidence_id),
    )


def of_reuse(evidence: Evidence) -> Finding:
    """Return a spent refresh token that came back.

    Whose address it came from, the thief's or the owner's, nobody can tell.
    """
    addresses = () if evidence.source is None else (evidence.source,)
    return Finding(
        rule=Rule.REFRESH_TOKEN_REUSE,
        incident=f"reused:{evidence.account}",
        user_id=evidence.user_id,
        address=evidence.source,
        addresses=addresses,
        address_count=len(addresses),
        first_seen=evidence.occurred_at,
        last_seen=evidence.occurred_at,
        evidence=frozenset({evidence.id}),
    )


def of_campaign(campaign: Campaign, fresh: Iterable[Evidence]) -> Finding:
    """Return a campaign; all its suspects are its cause."""
    suspects = sorted(campaign.suspects, key=lambda one: one.last_seen, reverse=True)
    sources = tuple(one.source for one in suspects)
    return Finding(
        rule=Rule.CREDENTIAL_STUFFING,
        incident=f"{CAMPAIGN}{campaign.scope}",
        addresses=sources[:SHOWN_ADDRESSES],
        address_count=len(sources),
        accounts=sum(one.accounts for one in suspects),
        attempts=sum(one.failures for one in suspects),
        first_seen=min(one.first_seen for one in suspects),
        last_seen=max(one.last_seen for one in suspects),
        hostile=sources,
        evidence=_failures_of(sources, fresh),
        scope=campaign.scope,
    )


def _failures_of(sources: Iterable[Network], fresh: Iterable[Evidence]) -> frozenset[int]:
    wanted = set(sources)
    return frozenset(one.id for one in fresh if one.is_failure and one.source in wanted)


def _failures_in(window: Window, fresh: Iterable[Evidence]) -> frozenset[int]:
    return frozenset(
        one.id
        for one in fresh
        if one.is_failure and window.starts_at <= one.occurred_at < window.ends_at
    )
