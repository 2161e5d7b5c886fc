"""A login that succeeded: settled and told in one statement, as all wait for it; and its past."""

from dataclasses import dataclass
from uuid import UUID

from chassis.database import Statements
from chassis.outbox import Row
from chassis.statements import HotStatement
from services.identity.domain.history import LoginRecord

# Counters and source are read by the update of the account, so that the rows are locked in the
# order of this room. What succeeds while a counter is locked began before the lock and does not
# lift it. Neither the time of a login nor the same password hashed anew is a change that others
# must hear of, so the version stays.
_SETTLE = HotStatement("""
WITH counter AS (
    UPDATE login_counters SET
        failures = CASE WHEN locked_until IS NULL THEN 0 ELSE failures END,
        consecutive = 0,
        pending = array_remove(pending, CAST(:id AS uuid)),
        touched_at = :now
    WHERE key = :key
    RETURNING 1
), owner AS (
    UPDATE login_counters SET consecutive = 0
    WHERE key = CAST(:owner_key AS text) AND key <> :key
    RETURNING 1
), origin AS (
    UPDATE login_sources SET
        failures = array_remove(failures, CAST(:id AS uuid)),
        pending = array_remove(pending, CAST(:id AS uuid))
    WHERE source = CAST(:source AS text)
    RETURNING 1
), settled AS (
    SELECT (SELECT count(*) FROM counter) + (SELECT count(*) FROM owner)
        + (SELECT count(*) FROM origin) AS rows
), account AS (
    UPDATE users SET
        last_login = :now,
        password_hash = COALESCE(CAST(:upgraded_hash AS text), password_hash)
    FROM settled
    WHERE id = :user_id AND credentials_epoch = :credentials_epoch AND settled.rows >= 0
    RETURNING id
), told AS (
    INSERT INTO outbox (event_id, exchange, routing_key, body, urgent)
    SELECT CAST(:event_id AS uuid), CAST(:exchange AS text), CAST(:routing_key AS text),
        CAST(CAST(:body AS text) AS jsonb), false
    FROM account
)
INSERT INTO login_history (id, user_id, occurred_at, ip, user_agent, outcome)
SELECT CAST(:id AS uuid), id, CAST(:now AS timestamptz), CAST(:ip AS text),
    CAST(:user_agent AS text), CAST(:outcome AS text)
FROM account
RETURNING id
""")

_SEEN_BEFORE = HotStatement("""
SELECT FROM login_history
WHERE user_id = :user_id AND id <> :id AND outcome = :outcome
    AND ip IS NOT DISTINCT FROM CAST(:ip AS text)
    AND user_agent IS NOT DISTINCT FROM CAST(:user_agent AS text)
LIMIT 1
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """What is settled: the slot under `key`, and the consecutive failures under `owner_key`.

    `upgraded_hash` replaces the stored one when it is not None.
    """

    key: str
    owner_key: str
    source: str | None
    credentials_epoch: int
    upgraded_hash: str | None


async def settle(
    statements: Statements, success: Success, record: LoginRecord, announcement: Row
) -> UUID | None:
    """Give the slots back, forget the failures, remember the login and announce it.

    None when the password was replaced while it was being verified: then there was no login, only
    a password that was right when the attempt began.
    """
    event_id, exchange, routing_key, body = announcement
    parameters = {
        "id": record.id,
        "now": record.occurred_at,
        "user_id": record.user_id,
        "ip": record.ip,
        "user_agent": record.user_agent,
        "outcome": record.outcome,
        "key": success.key,
        "owner_key": success.owner_key,
        "source": success.source,
        "credentials_epoch": success.credentials_epoch,
        "upgraded_hash": success.upgraded_hash,
        "event_id": event_id,
        "exchange": exchange,
        "routing_key": routing_key,
        "body": body,
    }
    settled = await statements.fetch_row(_SETTLE.sql, *_SETTLE.arguments(parameters))
    return None if settled is None else settled["id"]


async def was_seen_before(statements: Statements, record: LoginRecord) -> bool:
    """Say whether the history has another login alike, by the same agent from the same address."""
    parameters = {
        "id": record.id,
        "user_id": record.user_id,
        "outcome": record.outcome,
        "ip": record.ip,
        "user_agent": record.user_agent,
    }
    found = await statements.fetch_row(_SEEN_BEFORE.sql, *_SEEN_BEFORE.arguments(parameters))
    return found is not None
