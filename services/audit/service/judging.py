"""Hold new evidence against the rules: which findings a batch leads to."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from chassis.database import Transaction
from services.audit.domain.detection.campaigns import Suspect, campaigns
from services.audit.domain.detection.evidence import Evidence, Kind
from services.audit.domain.detection.findings import (
    Finding,
    of_account,
    of_campaign,
    of_entry,
    of_reuse,
    of_source,
)
from services.audit.domain.detection.rules import (
    SourceTally,
    Thresholds,
    judge_account,
    judge_entry,
    judge_source,
)
from services.audit.domain.detection.windows import Window, windows_of
from services.audit.repository import suspects, tallies

_SUSPECTS = 5000


async def judge(
    tx: Transaction, batch: Sequence[Evidence], thresholds: Thresholds
) -> list[Finding]:
    """Return everything *batch* brings to light; campaigns come before their parts."""
    counted = await _count_sources(tx, batch, thresholds)
    return [
        *await _judge_campaigns(tx, batch, counted, thresholds),
        *_judge_sources(batch, counted, thresholds),
        *await _judge_accounts(tx, batch, thresholds),
        *await _judge_entries(tx, batch, thresholds),
        *(of_reuse(one) for one in batch if one.kind is Kind.REUSED),
    ]


async def _count_sources(
    tx: Transaction, batch: Sequence[Evidence], thresholds: Thresholds
) -> list[SourceTally]:
    asked = {
        (one.source, window)
        for one in batch
        if one.is_failure and one.source is not None
        for window in _windows(one, thresholds)
    }
    return await tallies.count_by_source(tx, asked, up_to=batch[-1].id) if asked else []


async def _judge_campaigns(
    tx: Transaction,
    batch: Sequence[Evidence],
    counted: Iterable[SourceTally],
    thresholds: Thresholds,
) -> list[Finding]:
    """Note who is suspect now, and see what all suspects of those windows amount to."""
    noted = sorted((one for one in counted if one.is_suspect), key=lambda one: one.barren)
    if not noted:
        return []
    newest = {one.source: _suspect(one) for one in noted}
    await suspects.note(tx, list(newest.values()), window=thresholds.window)
    windows = sorted({one.window for one in noted})
    found = await suspects.list_suspects(tx, windows, limit=_SUSPECTS)
    return [
        of_campaign(campaign, batch)
        for window in windows
        for campaign in campaigns(found[window], thresholds)
    ]


def _judge_sources(
    batch: Sequence[Evidence], counted: Iterable[SourceTally], thresholds: Thresholds
) -> list[Finding]:
    return [
        of_source(tally, rule, batch)
        for tally in counted
        if (rule := judge_source(tally, thresholds)) is not None
    ]


async def _judge_accounts(
    tx: Transaction, batch: Sequence[Evidence], thresholds: Thresholds
) -> list[Finding]:
    asked = {
        (one.account, window)
        for one in batch
        if one.is_failure
        for window in _windows(one, thresholds)
    }
    if not asked:
        return []
    counted = await tallies.count_by_account(
        tx, asked, up_to=batch[-1].id, at_least=thresholds.guessing_addresses
    )
    return [
        of_account(tally, rule, batch)
        for tally in counted
        if (rule := judge_account(tally, thresholds)) is not None
    ]


async def _judge_entries(
    tx: Transaction, batch: Sequence[Evidence], thresholds: Thresholds
) -> list[Finding]:
    """Judge who got in, and who got in before a wrong password that has only come now."""
    entries = [one.id for one in batch if one.kind in (Kind.ENTERED, Kind.NEW_DEVICE)]
    late: dict[str, datetime] = {}
    for one in batch:
        if one.kind is Kind.FAILED and one.is_late:
            late[one.account] = min(one.occurred_at, late.get(one.account, one.occurred_at))
    if not entries and not late:
        return []
    counted = await tallies.count_before_entries(
        tx,
        entries,
        late,
        within=thresholds.success_window,
        at_least=thresholds.success_failures,
    )
    return [
        of_entry(tally, rule, batch)
        for tally in counted
        if (rule := judge_entry(tally, thresholds)) is not None
    ]


def _windows(one: Evidence, thresholds: Thresholds) -> tuple[Window, ...]:
    return windows_of(one.occurred_at, length=thresholds.window, is_late=one.is_late)


def _suspect(tally: SourceTally) -> Suspect:
    return Suspect(
        source=tally.source,
        agent=tally.agent,
        accounts=tally.barren,
        failures=tally.failures,
        first_seen=tally.first_at,
        last_seen=tally.last_at,
    )
