"""Questions on a long log are answered by an index, not by reading all of it."""

from typing import Any

import asyncpg
import pytest

from services.audit.domain.filters import Filters
from services.audit.repository import entries
from services.audit.tests.running import AUDIT, Service
from services.audit.tests.samples import event
from services.audit.tests.world import World

_PERSONAL = """
INSERT INTO audit_personal (received_at, event_id, party, salt, body, ip)
SELECT received_at, event_id, 'subject', 's', '{}', '10.0.0.1' FROM audit_log WHERE type = 't'
"""

_LONG = """
INSERT INTO audit_log (received_at, event_id, type, source, outcome, occurred_at, leaf_bytes)
SELECT now() - n * interval '1 millisecond', gen_random_uuid(), 't', 's', 'success', now(), 'x'
FROM generate_series(1, 20000) AS n
"""


class TestPlans:
    """As PostgreSQL makes them once it knows the log."""

    @pytest.mark.usefixtures("recorded")
    async def test_a_rare_outcome_is_found_by_index(self, owner: asyncpg.Connection) -> None:
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

    async def test_a_network_is_found_by_index_by_a_plan_for_any(
        self, recorded: World, owner: asyncpg.Connection
    ) -> None:
        """PostgreSQL makes one for a statement that comes often, without looking at its values."""
        await owner.execute(_LONG)
        await owner.execute(_PERSONAL)
        await owner.execute("ANALYZE audit_log; ANALYZE audit_personal")
        async with recorded.database.transaction() as tx:
            driver = await tx.driver()
            await driver.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            before = await _scans(driver)
            await entries.list_entries(tx, Filters(ip="192.0.2.0/24"), after=None, limit=51)
            assert await _scans(driver) == before


async def _scans(driver: asyncpg.Connection) -> int:
    """Return how many rows of the log were read one after the other in this transaction."""
    month = await driver.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')")
    return int(
        await driver.fetchval(
            "SELECT sum(seq_tup_read) FROM pg_stat_xact_all_tables WHERE relname IN ($1, $2)",
            f"audit_log_{month}",
            f"audit_personal_{month}",
        )
    )


class TestAddresses:
    """An address has several forms."""

    async def test_ipv4_in_ipv6_clothes_is_found_by_either(self, service: Service) -> None:
        """As an event tells it, and as an administrator asks."""
        told = event("identity.login.succeeded.v1", ip="::ffff:192.0.2.9")
        await service.publish(told)

        for asked in ("192.0.2.9", "::ffff:192.0.2.9", "192.0.2.0/24"):
            assert [item["id"] for item in await service.items(ip=asked)] == [str(told.id)]

    @pytest.mark.parametrize(
        "asked",
        [{"ip": "fe80::1%eth0"}, {"ip": "192.0.2.1/33"}, {"actor": "a\x00"}, {"target": "\x00"}],
    )
    async def test_what_the_database_cannot_hold_is_no_failure(
        self, service: Service, asked: dict[str, Any]
    ) -> None:
        """It is refused, and nothing breaks."""
        assert (await service.get(AUDIT, **asked)).status_code == 400
