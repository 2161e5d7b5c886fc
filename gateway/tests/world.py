"""A gateway on a real port between small services and a test's clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from chassis.app import Deployable
from chassis.bus import EventBus
from chassis.testing import eventually
from gateway.app import build
from gateway.settings import GatewaySettings
from gateway.shedding.lag import LoopLag
from gateway.tests.signing import ISSUER, Subject, access_token
from gateway.tests.upstreams import (
    AuditService,
    Echo,
    TokenService,
    listening,
    secret_of,
    serving,
)

CSRF_KEY = secret_of("csrf")
PLENTY = "1000000/minute"
PRODUCT_ROUTES = """
[[upstream]]
name = "shop"
url = "{shop}"
read_timeout = 1

[[route]]
path = "/shop/{{rest...}}"
methods = ["GET", "POST", "PUT", "DELETE"]
upstream = "shop"
access = "user"

[[route]]
path = "/open/{{rest...}}"
methods = ["GET", "POST"]
upstream = "shop"
access = "public"

[[route]]
path = "/maybe/{{rest...}}"
methods = ["GET"]
upstream = "shop"
access = "optional"

[[route]]
path = "/shop/orders/{{id}}"
methods = ["GET"]
upstream = "shop"
access = "user"
limits = ["5/minute"]

[[route]]
path = "/shop/orders/all"
methods = ["GET"]
upstream = "shop"
access = ["admin"]

[[route]]
path = "/shop/live/{{rest...}}"
methods = ["GET"]
upstream = "shop"
access = "user"
websocket = true

[[route]]
path = "/shop/raw/{{rest...}}"
methods = ["GET"]
upstream = "shop"
access = "user"
forward_token = true
"""


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: Any
    body: bytes

    @property
    def document(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)


@dataclass
class World:
    """Everything a test of the gateway talks to."""

    token: TokenService
    identity: Echo
    notify: Echo
    audit: AuditService
    shop: Echo
    gateway: Deployable
    host: str
    port: int
    client: aiohttp.ClientSession

    def bearer(self, subject: Subject, **claims: Any) -> dict[str, str]:
        """Return the header with an access token of *subject*."""
        return {"Authorization": f"Bearer {access_token(self.token.keys[-1], subject, **claims)}"}

    async def ask(self, method: str, target: str, **options: Any) -> Answer:
        """Send one request and read its answer."""
        url = URL(f"http://{self.host}:{self.port}{target}", encoded=True)
        async with self.client.request(method, url, allow_redirects=False, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def raw(self, data: bytes) -> bytes:
        """Send bytes and return all that comes until the gateway closes."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(20):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def world(
    tmp_path: Path,
    *,
    bus: EventBus | None = None,
    token: TokenService | None = None,
    audit: AuditService | None = None,
    lag: LoopLag | None = None,
    wait_ready: bool = True,
    **settings: Any,
) -> AsyncIterator[World]:
    """Start everything; *settings* replace the gateway's."""
    token, shop = token or TokenService(), Echo()
    identity, notify, audit = Echo("identity"), Echo("notify"), audit or AuditService()
    apps = {"token": token, "identity": identity, "notify": notify, "audit": audit, "shop": shop}
    async with serving(**apps) as urls, aiohttp.ClientSession() as client:
        routes = tmp_path / "routes.toml"
        routes.write_text(PRODUCT_ROUTES.format(shop=urls["shop"]))
        made = make_settings(urls, **{"routes_file": routes, **settings})
        gateway = build(made, bus=bus, lag=lag)
        async with gateway.lifespan(), listening(gateway.http, gateway.protocol) as (host, port):
            gateway.health.started = True
            if wait_ready:
                await eventually(lambda: is_ready(gateway))
            yield World(token, identity, notify, audit, shop, gateway, host, port, client)


async def is_ready(gateway: Deployable) -> bool:
    """Say whether the gateway is ready."""
    return not await gateway.health.failing()


def make_settings(urls: dict[str, str], **changes: Any) -> GatewaySettings:
    """Return settings for a gateway in front of *urls*, with limits nobody reaches."""
    values: dict[str, Any] = {
        "environment": "development",
        "port": 0,
        "ops_port": 0,
        "public_base_url": ISSUER,
        "drain_timeout_seconds": 1,
        "max_open_requests_per_address": 100_000,
        "csrf_keys": (CSRF_KEY,),
    }
    for name in ("identity", "token", "notify", "audit"):
        values[f"{name}_url"] = urls[name]
        values[f"assertion_secrets_to_{name}"] = (secret_of(name),)
    for name in GatewaySettings.model_fields:
        if name.startswith("rate_limit_"):
            values[name] = PLENTY
    return GatewaySettings(**(values | changes))
