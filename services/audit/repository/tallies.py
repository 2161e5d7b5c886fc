"""Count evidence for the rules: by source, by account, and before a success.

Each asks for many windows at once and finds its rows by index. What it costs is bounded by what
identity lets one source or account do in an hour.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from chassis.database import Transaction
from chassis.networks import Network
from services.audit.domain.detection.findings import SHOWN_ADDRESSES
from services.audit.domain.detection.rules import AccountTally, EntryTally, SourceTally
from services.audit.domain.detection.windows import Window

# An account is entered for a source also by the reset its owner made from there.
_SOURCES = """
SELECT a.source, a.starts_at, a.ends_at, spread.addresses, t.*
FROM unnest($1::cidr[], $2::timestamptz[], $3::timestamptz[]) AS a (source, starts_at, ends_at)
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE NOT entered) AS barren,
        count(*) FILTER (WHERE entered) AS entered,
        sum(failures) FILTER (WHERE NOT entered) AS failures,
        min(first_at) FILTER (WHERE NOT entered) AS first_at,
        max(last_at) FILTER (WHERE NOT entered) AS last_at,
        mode() WITHIN GROUP (ORDER BY agent) FILTER (WHERE NOT entered) AS agent
    FROM (
        SELECT
            bool_or(e.kind IN ('entered', 'renewed')) AS entered,
            count(*) FILTER (WHERE e.kind IN ('failed', 'locked')) AS failures,
            min(e.occurred_at) FILTER (WHERE e.kind IN ('failed', 'locked')) AS first_at,
            max(e.occurred_at) FILTER (WHERE e.kind IN ('failed', 'locked')) AS last_at,
            mode() WITHIN GROUP (ORDER BY e.agent) AS agent
        FROM detection_evidence AS e
        WHERE e.source = a.source AND e.occurred_at >= a.starts_at AND e.occurred_at < a.ends_at
            AND e.kind IN ('failed', 'locked', 'entered', 'renewed')
        GROUP BY e.account
    ) AS per_account
) AS t
CROSS JOIN LATERAL (
    SELECT count(DISTINCT e.address) AS addresses
    FROM detection_evidence AS e
    WHERE e.source = a.source AND e.occurred_at >= a.starts_at AND e.occurred_at < a.ends_at
        AND e.kind IN ('failed', 'locked')
) AS spread
WHERE t.barren > 0
"""

_ACCOUNTS = """
SELECT a.account, a.starts_at, a.ends_at, t.*
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS a (account, starts_at, ends_at)
CROSS JOIN LATERAL (
    SELECT
        count(DISTINCT e.source) AS sources,
        (array_agg(DISTINCT e.source))[1:$4] AS some_sources,
        count(*) AS failures,
        min(e.occurred_at) AS first_at,
        max(e.occurred_at) AS last_at,
        (array_agg(e.user_id) FILTER (WHERE e.user_id IS NOT NULL))[1] AS user_id
    FROM detection_evidence AS e
    WHERE e.account = a.account AND e.occurred_at >= a.starts_at AND e.occurred_at < a.ends_at
        AND e.kind IN ('failed', 'locked') AND e.source IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM suspect_sources AS s
            WHERE s.source = e.source AND s.first_seen < a.ends_at AND s.last_seen >= a.starts_at
        )
) AS t
WHERE t.sources >= $5
"""

# A wrong password that comes late may belong before a success judged already.
_ENTRIES = """
WITH entry AS (
    SELECT e.* FROM detection_evidence AS e WHERE e.id = ANY ($1::bigint[])
    UNION
    SELECT e.* FROM detection_evidence AS e
    WHERE e.account = ANY ($2::text[]) AND e.kind IN ('entered', 'new_device')
)
SELECT entry.id, entry.account, entry.user_id, entry.source, entry.occurred_at, t.*
FROM entry
CROSS JOIN LATERAL (
    SELECT count(*) AS failures, count(DISTINCT f.source) AS sources, min(f.occurred_at) AS first_at
    FROM detection_evidence AS f
    WHERE f.account = entry.account AND f.kind = 'failed'
        AND f.occurred_at < entry.occurred_at AND f.occurred_at >= entry.occurred_at - $3::interval
        AND (entry.kind = 'new_device' OR f.source = entry.source)
        AND NOT EXISTS (
            SELECT FROM detection_evidence AS g
            WHERE g.account = f.account AND g.occurred_at < entry.occurred_at
                AND g.occurred_at >= entry.occurred_at - $3::interval
                AND CASE
                    WHEN g.kind = 'renewed' THEN g.occurred_at > f.occurred_at
                    WHEN g.kind <> 'entered' OR g.source IS DISTINCT FROM f.source THEN false
                    WHEN entry.kind = 'entered' THEN g.occurred_at > f.occurred_at
                    ELSE g.source IS DISTINCT FROM entry.source
                END
        )
) AS t
WHERE t.failures >= $4
"""


async def count_by_source(
    tx: Transaction, asked: Collection[tuple[Network, Window]]
) -> list[SourceTally]:
    """Return what each source did in each window, where anything failed."""
    connection = await tx.driver()
    rows = await connection.fetch(_SOURCES, *_columns(asked))
    return [
        SourceTally(
            source=row["source"],
            window=Window(row["starts_at"], row["ends_at"]),
            barren=row["barren"],
            entered=row["entered"],
            failures=int(row["failures"]),
            addresses=row["addresses"],
            agent=row["agent"],
            first_at=row["first_at"],
            last_at=row["last_at"],
        )
        for row in rows
    ]


async def count_by_account(
    tx: Transaction, asked: Collection[tuple[str, Window]], *, at_least: int
) -> list[AccountTally]:
    """Return who failed at each account in each window, where that were *at_least* so many."""
    connection = await tx.driver()
    rows = await connection.fetch(_ACCOUNTS, *_columns(asked), SHOWN_ADDRESSES, at_least)
    return [
        AccountTally(
            account=row["account"],
            user_id=row["user_id"],
            window=Window(row["starts_at"], row["ends_at"]),
            sources=row["sources"],
            some_sources=tuple(row["some_sources"]),
            failures=row["failures"],
            first_at=row["first_at"],
            last_at=row["last_at"],
        )
        for row in rows
    ]


async def count_before_entries(
    tx: Transaction,
    ids: Sequence[int],
    accounts: Sequence[str],
    *,
    within: timedelta,
    at_least: int,
) -> list[EntryTally]:
    """Return what failed before the successes *ids*, and before any success at *accounts*."""
    connection = await tx.driver()
    rows = await connection.fetch(_ENTRIES, ids, accounts, within, at_least)
    return [
        EntryTally(
            evidence_id=row["id"],
            account=row["account"],
            user_id=row["user_id"],
            source=row["source"],
            entered_at=row["occurred_at"],
            failures=row["failures"],
            sources=row["sources"],
            first_at=row["first_at"],
        )
        for row in rows
    ]


def _columns(asked: Iterable[tuple[object, Window]]) -> tuple[list[object], ...]:
    """Turn keys and windows into one array per column."""
    rows = [(key, window.starts_at, window.ends_at) for key, window in asked]
    return tuple([row[column] for row in rows] for column in range(3))
