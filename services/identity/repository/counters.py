"""The counters of failures: reserving a slot and settling it, each in one statement (D6).

One row per account, unknown name or known device, and one for the password repeated by somebody
who is logged in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.identity.domain.lockout import (
    CONFIRMATIONS,
    LOGINS,
    MAX_CONSECUTIVE_FAILURES,
    RESERVATION_LIFE,
    Counter,
    Limits,
    first_id_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A counter after a change; `just_locked` when that change locked it."""

    counter: Counter
    just_locked: bool


_SWEEP = sa.text("""
WITH before AS (
    SELECT key, locked_until,
        (SELECT count(*) FROM unnest(pending) AS p WHERE p < :stale)::int AS stale
    FROM login_counters WHERE key = :key FOR UPDATE
)
UPDATE login_counters AS c SET
    failures = c.failures + before.stale,
    consecutive = c.consecutive + before.stale,
    pending = ARRAY(SELECT p FROM unnest(c.pending) AS p WHERE p >= :stale),
    locked_until = CASE
        WHEN c.locked_until IS NULL AND c.failures + before.stale >= :max_attempts
        THEN CAST(:until AS timestamptz) ELSE c.locked_until END,
    touched_at = :now
FROM before WHERE c.key = before.key
RETURNING c.failures, c.consecutive, cardinality(c.pending) AS pending, c.locked_until,
    before.locked_until IS NULL AND c.locked_until IS NOT NULL AS just_locked
""")

_FAIL = sa.text("""
WITH before AS (
    SELECT key, locked_until, (CAST(:id AS uuid) = ANY (pending))::int AS counted
    FROM login_counters WHERE key = :key FOR UPDATE
)
UPDATE login_counters AS c SET
    failures = c.failures + before.counted,
    consecutive = c.consecutive + before.counted,
    pending = array_remove(c.pending, CAST(:id AS uuid)),
    locked_until = CASE
        WHEN c.locked_until IS NULL AND c.failures + before.counted >= :max_attempts
        THEN CAST(:until AS timestamptz) ELSE c.locked_until END,
    touched_at = :now
FROM before WHERE c.key = before.key
RETURNING c.failures, c.consecutive, cardinality(c.pending) AS pending, c.locked_until,
    before.locked_until IS NULL AND c.locked_until IS NOT NULL AS just_locked
""")

# What succeeds while the counter is locked began before the lock, and does not lift it.
_SUCCEED = sa.text("""
UPDATE login_counters SET
    failures = CASE WHEN locked_until IS NULL THEN 0 ELSE failures END,
    consecutive = 0,
    pending = array_remove(pending, CAST(:id AS uuid)),
    touched_at = :now
WHERE key = :key
""")

_RELEASE = sa.text("""
UPDATE login_counters SET pending = array_remove(pending, CAST(:id AS uuid)) WHERE key = :key
""")

# A failure on a known device counts towards the account's consecutive ones without locking it.
_COUNT_CONSECUTIVE = sa.text("""
INSERT INTO login_counters AS c (key, user_id, consecutive, touched_at)
VALUES (:key, CAST(:user_id AS uuid), 1, :now)
ON CONFLICT (key) DO UPDATE SET consecutive = c.consecutive + 1, touched_at = :now
RETURNING consecutive
""")

_CLEAR_CONSECUTIVE = sa.text("UPDATE login_counters SET consecutive = 0 WHERE key = :key")

_FIND = sa.text("""
SELECT failures, consecutive, cardinality(pending) AS pending, locked_until
FROM login_counters WHERE key = :key
""")

# In the order of their keys, as everybody else locks them: device:… before user:….
_FORGET = sa.text("""
DELETE FROM login_counters WHERE key IN (
    SELECT key FROM login_counters WHERE user_id = CAST(:user_id AS uuid) ORDER BY key FOR UPDATE)
RETURNING locked_until > :now AS was_locked
""")

_UNLOCK = sa.text("""
WITH before AS (
    SELECT key, locked_until FROM login_counters
    WHERE key IN (:logins, :confirmations) ORDER BY key FOR UPDATE
)
UPDATE login_counters AS c SET failures = 0, locked_until = NULL
FROM before WHERE c.key = before.key
RETURNING before.locked_until > :now AS was_locked
""")


async def sweep(tx: Transaction, key: str, *, now: datetime, limits: Limits) -> Settled | None:
    """Count the reservations nobody settled as failures; return the counter."""
    return await _settled(tx, _SWEEP, _times(now, limits, key))


async def fail(
    tx: Transaction, key: str, attempt: UUID, *, now: datetime, limits: Limits
) -> Settled | None:
    """Turn the reservation into a failure; lock the counter when it is the last one allowed."""
    return await _settled(tx, _FAIL, _times(now, limits, key, attempt))


async def succeed(tx: Transaction, key: str, attempt: UUID, *, now: datetime) -> None:
    """Give the slot back and forget the failures."""
    await tx.execute(_SUCCEED, {"key": key, "id": attempt, "now": now})


async def release(tx: Transaction, key: str, attempt: UUID) -> None:
    """Give the slot back without a verdict."""
    await tx.execute(_RELEASE, {"key": key, "id": attempt})


async def count_consecutive(tx: Transaction, key: str, *, user_id: UUID, now: datetime) -> int:
    """Count a failure that happened elsewhere; return the consecutive ones."""
    row = {"key": key, "user_id": user_id, "now": now}
    return int(await tx.scalar(_COUNT_CONSECUTIVE, row))


async def clear_consecutive(tx: Transaction, key: str) -> None:
    """Forget the consecutive failures, not those of a running lock."""
    await tx.execute(_CLEAR_CONSECUTIVE, {"key": key})


async def find_counter(tx: Transaction, key: str) -> Counter | None:
    """Return the counter, or None when nothing was counted."""
    row = (await tx.execute(_FIND, {"key": key})).one_or_none()
    return None if row is None else Counter(**row._mapping)  # noqa: SLF001 - its public name


async def forget(tx: Transaction, user_id: UUID, *, now: datetime) -> bool:
    """Delete every counter of the account; say whether one of them was locked."""
    rows = (await tx.execute(_FORGET, {"user_id": user_id, "now": now})).all()
    return any(row.was_locked for row in rows)


async def unlock(tx: Transaction, user_id: UUID, *, now: datetime) -> bool:
    """Lift failure locks; say whether there was one. Consecutive failures stay counted."""
    keys = {"logins": f"{LOGINS}:{user_id}", "confirmations": f"{CONFIRMATIONS}:{user_id}"}
    rows = (await tx.execute(_UNLOCK, {**keys, "now": now})).all()
    return any(row.was_locked for row in rows)


def _times(
    now: datetime,
    limits: Limits,
    key: str,
    attempt: UUID | None = None,
    user_id: UUID | None = None,
) -> Mapping[str, Any]:
    return {
        "key": key,
        "id": attempt,
        "user_id": user_id,
        "now": now,
        "until": now + limits.lockout,
        "stale": first_id_at(now - RESERVATION_LIFE),
        "max_attempts": limits.max_attempts,
        "max_consecutive": MAX_CONSECUTIVE_FAILURES,
    }


async def _settled(
    tx: Transaction, statement: sa.TextClause, parameters: Mapping[str, Any]
) -> Settled | None:
    row = (await tx.execute(statement, parameters)).one_or_none()
    if row is None:
        return None
    counter = Counter(
        failures=row.failures,
        consecutive=row.consecutive,
        pending=row.pending,
        locked_until=row.locked_until,
    )
    return Settled(counter=counter, just_locked=row.just_locked)
