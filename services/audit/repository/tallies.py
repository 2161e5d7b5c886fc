"""Count evidence for the rules: by source, by account, and before a success.

Each asks for many windows at once and finds its rows by index. What it costs is bounded by what
identity lets one source or account do in an hour. Evidence behind `up_to` is not judged yet, and
counts with its own batch. No window counts more than its newest 5000 rows, so that no statement
takes long however hard somebody tries.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from chassis.database import Transaction
from chassis.networks import Network
from services.audit.domain.detection.findings import SHOWN_ADDRESSES
from services.audit.domain.detection.rules import AccountTally, EntryTally, SourceTally
from services.audit.domain.detection.windows import Window

_Asked = TypeVar("_Asked", bound=tuple[object, Window])

_AT_ONCE = 100

# An account is entered for a source also by the reset its owner made from there.
_SOURCES = """
SELECT a.source, a.starts_at, a.ends_at, t.*
FROM unnest($1::cidr[], $2::timestamptz[], $3::timestamptz[]) AS a (source, starts_at, ends_at)
CROSS JOIN LATERAL (
    WITH facts AS MATERIALIZED (
        SELECT e.account, e.address, e.agent, e.occurred_at,
            e.kind IN ('failed', 'locked') AS is_failure
        FROM detection_evidence AS e
        WHERE e.source = a.source AND e.occurred_at >= a.starts_at AND e.occurred_at < a.ends_at
            AND e.id <= $4 AND e.kind IN ('failed', 'locked', 'entered', 'renewed')
        ORDER BY e.occurred_at DESC LIMIT 5000
    ), per_account AS (
        SELECT
            bool_or(NOT is_failure) AS entered,
            count(*) FILTER (WHERE is_failure) AS failures,
            min(occurred_at) FILTER (WHERE is_failure) AS first_at,
            max(occurred_at) FILTER (WHERE is_failure) AS last_at,
            mode() WITHIN GROUP (ORDER BY agent) AS agent
        FROM facts GROUP BY account
    )
    SELECT
        count(*) FILTER (WHERE NOT entered) AS barren,
        count(*) FILTER (WHERE entered) AS entered,
        sum(failures) FILTER (WHERE NOT entered) AS failures,
        (SELECT count(DISTINCT address) FROM facts WHERE is_failure) AS addresses,
        min(first_at) FILTER (WHERE NOT entered) AS first_at,
        max(last_at) FILTER (WHERE NOT entered) AS last_at,
        mode() WITHIN GROUP (ORDER BY agent) FILTER (WHERE NOT entered) AS agent
    FROM per_account
) AS t
WHERE t.barren > 0
"""

_ACCOUNTS = """
SELECT a.account, a.starts_at, a.ends_at, t.*
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS a (account, starts_at, ends_at)
CROSS JOIN LATERAL (
    SELECT
        count(DISTINCT source) AS sources,
        (array_agg(DISTINCT source))[1:$5] AS some_sources,
        count(*) AS failures,
        min(occurred_at) AS first_at,
        max(occurred_at) AS last_at,
        (array_agg(user_id) FILTER (WHERE user_id IS NOT NULL))[1] AS user_id
    FROM (
        SELECT e.source, e.occurred_at, e.user_id
        FROM detection_evidence AS e
        WHERE e.account = a.account AND e.occurred_at >= a.starts_at AND e.occurred_at < a.ends_at
            AND e.id <= $4 AND e.kind IN ('failed', 'locked') AND e.source IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM suspect_sources AS s WHERE s.source = e.source
                    AND s.first_seen < a.ends_at AND s.last_seen >= a.starts_at
            )
        ORDER BY e.occurred_at DESC LIMIT 5000
    ) AS facts
) AS t
WHERE t.sources >= $6
"""

# A wrong password that comes late may belong before a success judged already.
_ENTRIES = """
WITH entry AS (
    SELECT e.id, e.kind, e.account, e.user_id, e.source, e.occurred_at
    FROM detection_evidence AS e WHERE e.id = ANY ($1::bigint[])
    UNION
    SELECT later.* FROM unnest($2::text[], $3::timestamptz[]) AS late (account, occurred_at)
    CROSS JOIN LATERAL (
        SELECT e.id, e.kind, e.account, e.user_id, e.source, e.occurred_at
        FROM detection_evidence AS e
        WHERE e.account = late.account AND e.kind IN ('entered', 'new_device')
            AND e.occurred_at > late.occurred_at
        ORDER BY e.occurred_at LIMIT 200
    ) AS later
)
SELECT entry.id, entry.account, entry.user_id, entry.source, entry.occurred_at, t.*
FROM entry
CROSS JOIN LATERAL (
    SELECT greatest(
        entry.occurred_at - $4::interval,
        (
            SELECT max(g.occurred_at) FROM detection_evidence AS g
            WHERE g.account = entry.account AND g.kind = 'renewed'
                AND g.occurred_at < entry.occurred_at
        ),
        CASE WHEN entry.kind = 'entered' THEN (
            SELECT max(g.occurred_at) FROM detection_evidence AS g
            WHERE g.account = entry.account AND g.kind = 'entered' AND g.source = entry.source
                AND g.occurred_at < entry.occurred_at
        ) END
    ) AS moment
) AS since
CROSS JOIN LATERAL (
    SELECT
        count(*) AS failures,
        count(DISTINCT f.source) AS sources,
        min(f.occurred_at) AS first_at
    FROM (
        SELECT e.source, e.occurred_at FROM detection_evidence AS e
        WHERE e.account = entry.account AND e.kind = 'failed'
            AND e.occurred_at >= since.moment AND e.occurred_at < entry.occurred_at
            AND (entry.kind = 'new_device' OR e.source = entry.source)
        ORDER BY e.occurred_at DESC LIMIT 5000
    ) AS f
    WHERE entry.kind = 'entered' OR f.source IS NOT DISTINCT FROM entry.source OR NOT EXISTS (
        SELECT FROM detection_evidence AS g
        WHERE g.account = entry.account AND g.kind = 'entered' AND g.source = f.source
            AND g.occurred_at >= entry.occurred_at - $4::interval
            AND g.occurred_at < entry.occurred_at
    )
) AS t
WHERE t.failures >= $5
"""


async def count_by_source(
    tx: Transaction, asked: Collection[tuple[Network, Window]], *, up_to: int
) -> list[SourceTally]:
    """Return what each source did in each window, where anything failed."""
    connection = await tx.driver()
    rows = [
        row
        for some in _chunks(asked)
        for row in await connection.fetch(_SOURCES, *_columns(some), up_to)
    ]
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
    tx: Transaction, asked: Collection[tuple[str, Window]], *, up_to: int, at_least: int
) -> list[AccountTally]:
    """Return who failed at each account in each window, where that were *at_least* so many."""
    connection = await tx.driver()
    rows = [
        row
        for some in _chunks(asked)
        for row in await connection.fetch(
            _ACCOUNTS, *_columns(some), up_to, SHOWN_ADDRESSES, at_least
        )
    ]
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
    late: Mapping[str, datetime],
    *,
    within: timedelta,
    at_least: int,
) -> list[EntryTally]:
    """Return what failed before the successes *ids*, and before the first after each *late* one."""
    connection = await tx.driver()
    rows = await connection.fetch(_ENTRIES, ids, list(late), list(late.values()), within, at_least)
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


def _chunks(asked: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """Divide what is asked into statements of a bounded size."""
    rest = iter(asked)
    while some := list(itertools.islice(rest, _AT_ONCE)):
        yield some


def _columns(asked: Iterable[tuple[object, Window]]) -> tuple[list[object], ...]:
    """Turn keys and windows into one array per column."""
    rows = [(key, window.starts_at, window.ends_at) for key, window in asked]
    return tuple([row[column] for row in rows] for column in range(3))
