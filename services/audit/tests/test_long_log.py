"""Questions on a long log are answered by an index, not by reading all of it."""

import asyncpg

from services.audit.tests.world import World

_LONG = """
INSERT INTO audit_log (received_at, event_id, type, source, outcome, occurred_at, leaf_bytes)
SELECT now() - n * interval '1 millisecond', gen_random_uuid(), 't', 's', 'success', now(), 'x'
FROM generate_series(1, 20000) AS n
"""


class TestPlans:
    """As PostgreSQL makes them once it knows the log."""

    async def test_a_rare_outcome_is_found_by_index(
        self, recorded: World, owner: asyncpg.Connection
    ) -> None:
        """Denials and failures are few among many successes, or none at all."""
        await owner.execute(_LONG)
        await owner.execute("ANALYZE audit_log")

        plan = await owner.fetch(
            "EXPLAIN SELECT event_id FROM audit_log WHERE outcome = 'denied'"
            " ORDER BY received_at DESC, event_id DESC LIMIT 51"
        )

        lines = [row[0] for row in plan]
        month = await owner.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')")
        assert any(f"audit_log_{month}_outcome_received_at_event_id_idx" in line for line in lines)
