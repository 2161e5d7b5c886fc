"""A whole notify for one test: its bus, and the gateway's way in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx

from chassis.app import Deployable
from chassis.assertions import HEADER, AssertionSigner
from chassis.bus import Message
from chassis.caller import Principal
from chassis.clock import SystemClock
from chassis.inprocess import InProcessBus
from chassis.testing.databases import FreshDatabase
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent
from services.notify.app import build
from services.notify.consumers import queues
from services.notify.settings import NotifySettings
from services.notify.tests.kit import KEYS

SECRET = bytes(32)
SIGNER = AssertionSigner(issuer="gateway", audience="notify", secrets=[SECRET], clock=SystemClock())


def settings_of(fresh: FreshDatabase, **changes: Any) -> NotifySettings:
    """Return settings for a process of one test."""
    values: dict[str, Any] = {
        "environment": "development",
        "port": 0,
        "ops_port": 0,
        "database_url": fresh.app_url,
        "database_pool_min": 1,
        "database_pool_max": 5,
        "assertion_secrets_from_gateway": (SECRET,),
        "public_base_url": "http://localhost:8000",
        "mail_transport": "inbox",
        "mail_from": "Gatehouse <no-reply@gatehouse.example>",
        "mail_secrets_keys": KEYS,
    }
    return NotifySettings(**(values | changes))


class Running:
    """A running notify, its bus, and the gateway's way in."""

    def __init__(self, deployable: Deployable, bus: InProcessBus) -> None:
        self.bus = bus
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(deployable.http), base_url="http://notify"
        )

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def publish(self, event: CloudEvent, exchange: str = EVENTS_EXCHANGE) -> None:
        """Put *event* on the bus."""
        message = Message(
            id=event.id, exchange=exchange, routing_key=event.type, body=event.to_json()
        )
        await self.bus.publish([message])

    async def call(
        self, method: str, target: str, *, principal: Principal | None = None
    ) -> httpx.Response:
        """Call as the gateway does."""
        assertion = SIGNER.sign(method, target, request_id="request-1", principal=principal)
        return await self._client.request(method, target, headers={HEADER: assertion})

    async def mails(self, address: str) -> list[dict[str, Any]]:
        """Return what the inbox holds for *address*."""
        response = await self.call("GET", f"/dev/inbox/messages?to={address}")
        found: list[dict[str, Any]] = response.json()
        return found


def person(*roles: str) -> Principal:
    """Return somebody with these roles."""
    return Principal(user_id=uuid4(), session_id=uuid4(), roles=frozenset(roles), version=1)


@asynccontextmanager
async def run(settings: NotifySettings) -> AsyncIterator[Running]:
    """Run notify for one test."""
    bus = InProcessBus(queues())
    deployable = build(settings, bus=bus)
    running = Running(deployable, bus)
    try:
        async with deployable.lifespan():
            bus.open()
            yield running
    finally:
        await running.close()
        await bus.close()
