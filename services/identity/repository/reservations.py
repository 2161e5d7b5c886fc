"""Reserving a slot of the name and one of the source, before a password is verified (D6).

One statement for both: every attempt waits for it, also the refused ones.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.database import Transaction
from chassis.statements import HotStatement
from services.identity.domain.lockout import (
    MAX_CONSECUTIVE_FAILURES,
    RESERVATION_LIFE,
    Limits,
    first_id_at,
)

# A source that nobody failed from may verify this many times its limit at once: many people log
# in from behind one address, and a success takes its reservation back.
_BURST = 4

_RESERVE = HotStatement("""
WITH counter AS (
    INSERT INTO login_counters AS c (key, user_id, pending, touched_at)
    VALUES (:key, CAST(:user_id AS uuid), ARRAY[CAST(:id AS uuid)], :now)
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN c.locked_until <= :now THEN 0 ELSE c.failures END
            + (SELECT count(*) FROM unnest(c.pending) AS p WHERE p < :stale),
        consecutive = c.consecutive
            + (SELECT count(*) FROM unnest(c.pending) AS p WHERE p < :stale),
        pending = array_append(
            ARRAY(SELECT p FROM unnest(c.pending) AS p WHERE p >= :stale), CAST(:id AS uuid)),
        locked_until = NULL,
        touched_at = :now
    WHERE (c.locked_until IS NULL OR c.locked_until <= :now)
        AND CASE WHEN c.locked_until <= :now THEN 0 ELSE c.failures END
            + cardinality(c.pending) < :max_attempts
        AND c.consecutive + cardinality(c.pending) < :max_consecutive
    RETURNING key
), origin AS (
    INSERT INTO login_sources AS s (source, pending, touched_at)
    SELECT CAST(:source AS text), ARRAY[CAST(:id AS uuid)], :now
    WHERE CAST(:source AS text) IS NOT NULL
    ON CONFLICT (source) DO UPDATE SET
        failures = ARRAY(
            SELECT f FROM unnest(s.failures || ARRAY(
                SELECT p FROM unnest(s.pending) AS p WHERE p < :stale)) AS f WHERE f >= :window),
        pending = array_append(
            ARRAY(SELECT p FROM unnest(s.pending) AS p WHERE p >= :stale), CAST(:id AS uuid)),
        touched_at = :now
    WHERE (
        SELECT CASE WHEN count(*) = 0 THEN cardinality(s.pending) < :burst
            ELSE count(*) + cardinality(s.pending) < :max_per_source END
        FROM unnest(s.failures) AS f WHERE f >= :window)
    RETURNING source
)
SELECT EXISTS (SELECT FROM counter) AS of_name,
    CAST(:source AS text) IS NULL OR EXISTS (SELECT FROM origin) AS of_source
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Whose slots are asked for; without an address there is no source to count."""

    attempt: UUID
    key: str
    user_id: UUID | None
    source: str | None


@dataclass(frozen=True, slots=True)
class Reserved:
    """Which slots were taken: False when all are, or the counter is locked."""

    of_name: bool
    of_source: bool


async def reserve(
    tx: Transaction, wanted: Reservation, *, now: datetime, limits: Limits
) -> Reserved:
    """Take what is free of both slots."""
    parameters = {
        "id": wanted.attempt,
        "key": wanted.key,
        "user_id": wanted.user_id,
        "source": wanted.source,
        "now": now,
        "stale": first_id_at(now - RESERVATION_LIFE),
        "window": first_id_at(now - limits.source_window),
        "max_attempts": limits.max_attempts,
        "max_consecutive": MAX_CONSECUTIVE_FAILURES,
        "burst": limits.max_per_source * _BURST,
        "max_per_source": limits.max_per_source,
    }
    row = await tx.fetch_row(_RESERVE.sql, *_RESERVE.arguments(parameters))
    assert row is not None  # noqa: S101 - a SELECT of two values has one row
    return Reserved(row["of_name"], row["of_source"])
