"""The rules: what each one counts, from when on it is an attack, and how grave that is.

Accounts that fail from a source and also get in from it are its own people's typing errors. What
counts are accounts that only fail (*barren* ones), and their share of all accounts seen there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from chassis.networks import Network
from services.audit.domain.detection.windows import Window

Severity = Literal["medium", "high", "critical"]


class Rule(StrEnum):
    """The patterns of attack audit knows; part of the published events."""

    PASSWORD_SPRAYING = "password_spraying"
    CREDENTIAL_STUFFING = "credential_stuffing"
    ACCOUNT_GUESSING = "account_guessing"
    SUCCESS_AFTER_FAILURES = "success_after_failures"
    REFRESH_TOKEN_REUSE = "refresh_token_reuse"


SEVERITIES: dict[Rule, Severity] = {
    Rule.PASSWORD_SPRAYING: "high",
    Rule.CREDENTIAL_STUFFING: "high",
    Rule.ACCOUNT_GUESSING: "medium",
    Rule.SUCCESS_AFTER_FAILURES: "critical",
    Rule.REFRESH_TOKEN_REUSE: "high",
}

SUSPECT_ACCOUNTS = 5
"""So many barren accounts make a source part of a campaign, when enough others do the same."""

_FEW_TRIES = 3
_STUFFED_ACCOUNTS = 10
_SPREAD_ADDRESSES = 3
_WORTH_TELLING = 0.2
_HOSTILE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From when on a pattern is an attack: counts within `window` of event time.

    `quiet` ends an incident; `block` is how long an address is refused, zero for never.
    """

    window: timedelta = timedelta(minutes=60)
    spraying_accounts: int = 15
    stuffing_attempts: int = 40
    stuffing_addresses: int = 10
    guessing_addresses: int = 10
    success_failures: int = 10
    success_window: timedelta = timedelta(hours=6)
    quiet: timedelta = timedelta(minutes=60)
    block: timedelta = timedelta(minutes=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTally:
    """What one source did within a window.

    `barren` accounts failed from it and never got in, with `failures` in all from `addresses`
    different ones of the source; `entered` accounts got in. The times are those of the failures,
    `agent` the one most of them came by.
    """

    source: Network
    window: Window
    barren: int
    entered: int
    failures: int
    addresses: int
    agent: str
    first_at: datetime
    last_at: datetime

    @property
    def barren_share(self) -> float:
        """Return which part of the accounts seen here only fails."""
        return self.barren / max(1, self.barren + self.entered)

    @property
    def is_hostile(self) -> bool:
        """Say whether hardly anybody but an attacker stands behind this source."""
        return self.barren_share >= _HOSTILE

    @property
    def is_suspect(self) -> bool:
        """Say whether the source is worth remembering as a part of something larger."""
        return self.barren >= SUSPECT_ACCOUNTS and self.is_hostile


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTally:
    """Who failed at one account within a window: from how many sources, some of them named.

    Sources that try many accounts are not counted: they belong to other rules.
    """

    account: str
    user_id: UUID | None
    window: Window
    sources: int
    some_sources: tuple[Network, ...]
    failures: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTally:
    """Somebody got into an account: how many wrong passwords came before, and from where.

    From a new device all of them count but those of sources the account is entered from otherwise;
    else those of the same source since the account was last entered from it. A password its owner
    set anew begins the count anew.
    """

    evidence_id: int
    account: str
    user_id: UUID | None
    source: Network | None
    entered_at: datetime
    failures: int
    sources: int
    first_at: datetime | None


def judge_source(tally: SourceTally, thresholds: Thresholds) -> Rule | None:
    """Say what one source does.

    Spraying is a few tries at many accounts from one address. Many tries, or the many addresses
    of one IPv6 /64, are stuffing.
    """
    if tally.barren_share < _WORTH_TELLING:
        return None
    is_wide = tally.barren >= thresholds.spraying_accounts
    if is_wide and tally.failures <= _FEW_TRIES * tally.barren:
        spread = tally.addresses >= _SPREAD_ADDRESSES
        return Rule.CREDENTIAL_STUFFING if spread else Rule.PASSWORD_SPRAYING
    is_heavy = tally.failures >= thresholds.stuffing_attempts and tally.barren >= _STUFFED_ACCOUNTS
    return Rule.CREDENTIAL_STUFFING if is_wide or is_heavy else None


def judge_account(tally: AccountTally, thresholds: Thresholds) -> Rule | None:
    """Say whether many sources guess at one account."""
    return Rule.ACCOUNT_GUESSING if tally.sources >= thresholds.guessing_addresses else None


def judge_entry(tally: EntryTally, thresholds: Thresholds) -> Rule | None:
    """Say whether a guess may have come true."""
    guessed = tally.failures >= thresholds.success_failures
    return Rule.SUCCESS_AFTER_FAILURES if guessed else None
