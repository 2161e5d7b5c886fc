"""The running service as others meet it: over HTTP, behind assertions, fed by the bus."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import sqlalchemy as sa

from chassis.app import Deployable
from chassis.assertions import HEADER, AssertionSigner
from chassis.bus import Message
from chassis.caller import Principal
from chassis.clock import SystemClock
from chassis.inprocess import InProcessBus
from chassis.testing import eventually
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent
from services.audit.models import AUDIT_LOG
from services.audit.tests.world import ADMIN, World, ids

SECRET = b"s" * 32
AUDIT = "/api/v1/admin/audit"
OWN = "/api/v1/users/me/export"


class Service:
    """A running audit service, its bus, and clients of several roles."""

    def __init__(self, deployable: Deployable, bus: InProcessBus, world: World) -> None:
        self.deployable = deployable
        self.bus = bus
        self.world = world
        self._signer = AssertionSigner(
            issuer="gateway", audience="audit", secrets=[SECRET], clock=SystemClock()
        )

    async def publish(self, *events: CloudEvent) -> None:
        """Publish *events* and wait until they are rows."""
        messages = [
            Message(id=e.id, exchange=EVENTS_EXCHANGE, routing_key=e.type, body=e.to_json())
            for e in events
        ]
        await self.bus.publish(messages)
        await eventually(lambda: self._holds(events))

    async def get(
        self, path: str, *roles: str, user: UUID | None = ADMIN, **params: Any
    ) -> httpx.Response:
        """Ask as *user* with *roles* (admin when none is given), or as nobody."""
        return await self.call("GET", path, *roles, user=user, params=params or None)

    async def call(
        self, method: str, path: str, *roles: str, user: UUID | None = ADMIN, **options: Any
    ) -> httpx.Response:
        """Send one request from 198.51.100.9, as `get` does; *options* are httpx's."""
        principal = None if user is None else _principal(user, *roles)

        async def sign(request: httpx.Request) -> None:
            request.headers[HEADER] = self._signer.sign(
                request.method,
                request.url.raw_path.decode(),
                request_id="a-request-id",
                principal=principal,
                client_address="198.51.100.9",
            )

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.deployable.http),
            base_url="http://audit",
            event_hooks={"request": [sign]},
        ) as client:
            return await client.request(method, path, **options)

    async def items(self, **params: Any) -> list[dict[str, Any]]:
        """Return the entries that match."""
        answer = await self.get(AUDIT, **params)
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def reads(self) -> list[dict[str, Any]]:
        """Return the rows that reading left, oldest first."""
        found = await self.items(type="audit.log.read.v1")
        return found[::-1]

    async def _holds(self, events: tuple[CloudEvent, ...]) -> bool:
        wanted = AUDIT_LOG.c.event_id.in_(ids(events))
        return len(await self.world.rows(sa.select(AUDIT_LOG).where(wanted))) == len(events)


def _principal(user: UUID, *roles: str) -> Principal:
    return Principal(
        user_id=user, session_id=uuid4(), roles=frozenset(roles or {"admin"}), version=1
    )
