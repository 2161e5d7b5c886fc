"""The process around the use cases."""

import httpx
import pytest
import sqlalchemy as sa

from chassis.crypto import b64encode
from chassis.testing import eventually
from services.audit.app import build
from services.audit.settings import AuditSettings
from services.audit.tests.running import AUDIT, SECRET, Service
from services.audit.tests.samples import event
from services.audit.tests.world import sample


class TestService:
    """The process around it."""

    async def test_refuses_calls_without_an_assertion(self, service: Service) -> None:
        """Nobody gets past the gateway."""
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(service.deployable.http), base_url="http://audit"
        ) as client:
            answer = await client.get(AUDIT)

        assert (answer.status_code, answer.json()["code"]) == (401, "assertion_required")

    async def test_is_ready_and_measures(self, service: Service) -> None:
        """Rows and lag are counted."""
        await service.publish(event("identity.login.succeeded.v1"))
        registry = service.deployable.metrics.registry

        assert await service.deployable.health.failing() == []
        type_ = "identity.login.succeeded.v1"
        assert sample(registry, "gatehouse_audit_rows_total", type=type_) == 1
        assert sample(registry, "gatehouse_audit_lag_seconds_count") == 1

    async def test_has_its_partitions(self, service: Service) -> None:
        """The task at the start has made them."""
        count = sa.text("SELECT count(*) FROM audit_partitions")

        async def four() -> bool:
            return bool((await service.world.rows(count))[0][0] == 4)

        await eventually(four)

    async def test_refuses_to_start_without_a_bus(self) -> None:
        """Neither a broker nor a bus in process: exit 78, with the reason."""
        settings = AuditSettings(
            database_url="postgresql+asyncpg://nobody@localhost/none",
            assertion_secrets_from_gateway=b64encode(SECRET),
        )

        with pytest.raises(SystemExit) as exited:
            build(settings)
        assert exited.value.code == 78
