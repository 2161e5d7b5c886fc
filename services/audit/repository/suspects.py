"""Sources that together may be a campaign."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from chassis.database import Transaction
from services.audit.domain.detection.campaigns import Suspect
from services.audit.domain.detection.windows import Window

# What was suspect a window ago or longer is not the same doing.
_UPSERT = """
INSERT INTO suspect_sources AS s (source, agent, accounts, failures, first_seen, last_seen)
SELECT * FROM unnest($1::cidr[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[],
    $6::timestamptz[])
ON CONFLICT (source) DO UPDATE SET
    agent = excluded.agent,
    accounts = CASE WHEN excluded.first_seen <= s.last_seen + $7::interval
        AND excluded.last_seen >= s.first_seen - $7::interval
        THEN greatest(s.accounts, excluded.accounts) ELSE excluded.accounts END,
    failures = CASE WHEN excluded.first_seen <= s.last_seen + $7::interval
        AND excluded.last_seen >= s.first_seen - $7::interval
        THEN greatest(s.failures, excluded.failures) ELSE excluded.failures END,
    first_seen = CASE WHEN excluded.first_seen <= s.last_seen + $7::interval
        AND excluded.last_seen >= s.first_seen - $7::interval
        THEN least(s.first_seen, excluded.first_seen) ELSE excluded.first_seen END,
    last_seen = CASE WHEN excluded.first_seen <= s.last_seen + $7::interval
        AND excluded.last_seen >= s.first_seen - $7::interval
        THEN greatest(s.last_seen, excluded.last_seen) ELSE excluded.last_seen END,
    noticed_at = now()
"""

_WITHIN = """
SELECT source, agent, accounts, failures, first_seen, last_seen FROM suspect_sources
WHERE last_seen >= $1 AND first_seen < $2 ORDER BY last_seen DESC LIMIT $3
"""

_PRUNE = """
DELETE FROM suspect_sources WHERE source IN (
    (SELECT source FROM suspect_sources WHERE noticed_at < now() - $1::interval LIMIT $3)
    UNION
    (SELECT source FROM suspect_sources ORDER BY noticed_at DESC OFFSET $2 LIMIT $3)
)
"""


async def note(tx: Transaction, suspects: Sequence[Suspect], *, window: timedelta) -> None:
    """Remember *suspects*, at most one per source; what follows closely is one span of time."""
    if not suspects:
        return
    connection = await tx.driver()
    rows = (
        (one.source, one.agent, one.accounts, one.failures, one.first_seen, one.last_seen)
        for one in suspects
    )
    await connection.execute(_UPSERT, *map(list, zip(*rows, strict=True)), window)


async def list_suspects(
    tx: Transaction, windows: Iterable[Window], *, limit: int
) -> dict[Window, list[Suspect]]:
    """Return who was suspect in each window, the last seen first."""
    connection = await tx.driver()
    found = {}
    for window in windows:
        rows = await connection.fetch(_WITHIN, window.starts_at, window.ends_at, limit)
        found[window] = [Suspect(**dict(row)) for row in rows]
    return found


async def prune(tx: Transaction, *, retention: timedelta, most: int, limit: int) -> int:
    """Forget those noticed longer ago than *retention* or beyond the newest *most*.

    At most twice *limit*; returns how many went.
    """
    connection = await tx.driver()
    status: str = await connection.execute(_PRUNE, retention, most, limit)
    return int(status.rpartition(" ")[2])
