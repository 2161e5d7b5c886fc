"""What is counted beside the log, in the transaction that records: evidence, and hourly counts."""

from collections import Counter

from chassis.database import Transaction
from services.audit.domain.detection.evidence import evidence_of
from services.audit.domain.statistics import COUNTED, floor
from services.audit.repository import activity, alerts, evidence
from services.audit.service.recording import Recorded


async def keep_evidence(tx: Transaction, recorded: Recorded) -> None:
    """Keep what the detector will judge, but of erased persons, and erase those deleted now.

    It is committed with the rows of the log: what is recorded will be judged, however late.
    """
    found = [
        one
        for event in recorded.events
        if (one := evidence_of(event, received_at=recorded.received_at)) is not None
        and one.user_id not in recorded.gone
    ]
    await evidence.add(tx, found)
    if recorded.deleted:
        await evidence.erase(tx, recorded.deleted)
        await alerts.erase(tx, recorded.deleted)


async def count_activity(tx: Transaction, recorded: Recorded) -> None:
    """Count what happened in which hour; last of all, as others may wait for these rows."""
    counts = Counter(
        (event.type, floor(min(event.time, recorded.received_at), "hour"))
        for event in recorded.events
        if event.type in COUNTED
    )
    await activity.add(tx, counts)
