"""What token's tests share: the service over HTTP, and its clients."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import sqlalchemy as sa

from chassis.app import Deployable
from chassis.assertions import HEADER, AssertionSigner
from chassis.caller import Principal
from chassis.crypto import b64encode
from chassis.database import Database
from chassis.inprocess import InProcessBus
from chassis.jwt import AccessToken, AccessTokenVerifier, KeySet
from chassis.testing import FixedClock, FreshDatabase
from contracts.envelope import CloudEvent, EventData
from services.token.app import KeyTiming, Parts
from services.token.keys import StoredKey
from services.token.repository.signing_keys import list_keys
from services.token.settings import TokenSettings
from services.token.tests.identity_stand_in import (
    TO_IDENTITY_SECRET,
    IdentityStandIn,
    serve,
)

MIGRATIONS = Path("services/token/migrations").resolve()
ISSUER = "https://auth.example"
AUDIENCE = "gatehouse"
GATEWAY_SECRET = b"gateway to token gateway to token"
IDENTITY_SECRET = b"identity to token identity to token"


@dataclass(slots=True)
class Client:
    """A program of a user: it has a user agent, an address, perhaps a device token."""

    world: "World"
    user_agent: str = "curl/8.5.0"
    address: str = "203.0.113.7"
    device: str | None = None

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        principal: Principal | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Send a request as the gateway forwards it."""
        given = {"user-agent": self.user_agent}
        if self.device:
            given["gatehouse-device"] = self.device
        return await self.world.send(
            method,
            path,
            body,
            principal=principal,
            headers={**given, **(headers or {})},
            content=content,
            address=self.address,
        )

    async def login(self, username: str = "ada", **body: Any) -> dict[str, Any]:
        """Log in and return the answer's body."""
        account = self.world.identity.accounts[username]
        credentials = {"username": username, "password": account.password, **body}
        response = await self.send("POST", "/api/v1/auth/login", credentials)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def refresh(self, refresh_token: str) -> httpx.Response:
        """Present a refresh token."""
        return await self.send("POST", "/api/v1/auth/refresh", {"refresh_token": refresh_token})

    async def logout(self, principal: Principal | None = None, **body: Any) -> httpx.Response:
        """Log out."""
        return await self.send("POST", "/api/v1/auth/logout", body or None, principal=principal)


class World:
    """A running token service with its database and its stand-in for identity."""

    def __init__(
        self,
        *,
        parts: Parts,
        deployable: Deployable,
        identity: IdentityStandIn,
        database: Database,
        owner_url: str,
        bus: InProcessBus,
        clock: FixedClock,
    ) -> None:
        self.parts = parts
        self.deployable = deployable
        self.identity = identity
        self.database = database
        self._owner_url = owner_url
        self.bus = bus
        self.clock = clock
        self.client = Client(self)
        transport = httpx.ASGITransport(app=deployable.http)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://token")
        self._signers = {
            issuer: AssertionSigner(issuer=issuer, audience="token", secrets=[secret], clock=clock)
            for issuer, secret in (("gateway", GATEWAY_SECRET), ("identity", IDENTITY_SECRET))
        }

    async def close(self) -> None:
        """Give back what this object opened."""
        await self._http.aclose()
        await self.database.close()

    async def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        issuer: str = "gateway",
        principal: Principal | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        address: str | None = None,
        proven_sid: UUID | None = None,
    ) -> httpx.Response:
        """Send a request with an assertion of *issuer*."""
        assertion = self._signers[issuer].sign(
            method,
            target,
            request_id=uuid4().hex,
            principal=principal,
            client_address=address,
            proven_sid=proven_sid,
        )
        merged = {HEADER: assertion, **(headers or {})}
        if content is not None:
            merged.setdefault("content-type", "application/json")
            return await self._http.request(method, target, content=content, headers=merged)
        return await self._http.request(method, target, json=body, headers=merged)

    async def verify(self, access_token: str) -> AccessToken:
        """Verify an access token as the gateway does, from the published keys."""
        keys = KeySet.from_jwks((await self.send("GET", "/.well-known/jwks.json")).json())
        verifier = AccessTokenVerifier(issuer=ISSUER, audience=AUDIENCE, clock=self.clock)
        return verifier.verify(access_token, keys)

    async def principal(self, tokens: Mapping[str, Any]) -> Principal:
        """Return whom the access token of an answer speaks for."""
        return (await self.verify(tokens["access_token"])).principal

    async def denied(self, since: str | None = None) -> list[dict[str, Any]]:
        """Return the deny list as a gateway reads it."""
        target = "/internal/v1/revocations" + (f"?{urlencode({'since': since})}" if since else "")
        response = await self.send("GET", target)
        assert response.status_code == 200, response.text
        return list(response.json()["entries"])

    async def denied_sids(self) -> set[str]:
        """Return the sessions whose access tokens are refused."""
        return {entry["value"] for entry in await self.denied() if entry["kind"] == "sid"}

    async def push(self, event: CloudEvent) -> httpx.Response:
        """Push an event as identity does."""
        return await self.send(
            "POST", "/internal/v1/subject-changes", event.to_dict(), issuer="identity"
        )

    def event(self, data: EventData, version: int, **attributes: Any) -> CloudEvent:
        """Return one of identity's events about a user."""
        return CloudEvent(
            id=attributes.pop("id", None) or uuid4(),
            source="identity",
            type=data.type,
            time=self.clock.now(),
            data=data.model_dump(mode="json"),
            subject=str(data.model_dump()["user_id"]),
            subjectversion=version,
            **attributes,
        )

    async def rows(self, sql: str, **parameters: Any) -> list[Any]:
        """Read from the service's database."""
        async with self.database.transaction() as tx:
            return list((await tx.execute(sa.text(sql), parameters)).all())

    async def count(self, table: str) -> int:
        """Return how many rows a table of the service has."""
        (row,) = await self.rows(f"SELECT count(*) AS n FROM {table}")  # noqa: S608 - a test's own word
        return int(row.n)

    async def as_owner(self, sql: str) -> None:
        """Change the service's database in a way the service itself may not."""
        owner = Database(self._owner_url, pool_min=1, pool_max=1)
        async with owner.transaction() as tx:
            await tx.execute(sa.text(sql))
        await owner.close()

    async def stored_keys(self) -> Sequence[StoredKey]:
        """Return the signing keys as they lie in the database."""
        async with self.database.transaction() as tx:
            return await list_keys(tx)

    async def rotate(self) -> None:
        """Have the signing keys looked after now, as the background task does."""
        await self.parts.rotation.rotate()

    async def keep_house(self) -> None:
        """Have house kept now, as the background task does."""
        await self.parts.housekeeping.keep_house()

    async def events(self, type_: str) -> list[dict[str, Any]]:
        """Return the bodies of the events of one type, oldest first."""
        rows = await self.rows(
            "SELECT body FROM outbox WHERE routing_key = :type ORDER BY id", type=type_
        )
        return [row.body for row in rows]


def settings(database: FreshDatabase, **overrides: Any) -> TokenSettings:
    """Return the settings of a service under test."""
    values: dict[str, Any] = {
        "port": 0,
        "ops_port": 0,
        "database_url": database.app_url,
        "database_pool_min": 5,
        "database_pool_max": 10,
        "issuer": ISSUER,
        "assertion_secrets_from_gateway": b64encode(GATEWAY_SECRET),
        "assertion_secrets_from_identity": b64encode(IDENTITY_SECRET),
        "assertion_secrets_to_identity": b64encode(TO_IDENTITY_SECRET),
        "signing_key_encryption_keys": b64encode(b"k" * 32),
    }
    return TokenSettings(**{**values, **overrides})


@asynccontextmanager
async def run_world(
    database: FreshDatabase,
    clock: FixedClock,
    *,
    open_bus: bool = True,
    timing: KeyTiming | None = None,
    **overrides: Any,
) -> AsyncIterator[World]:
    """Run a token service with everything it needs; keys keep the time of *clock*, unless told."""
    identity = IdentityStandIn(clock)
    async with serve(identity.app) as url:
        bus = InProcessBus()
        given = settings(database, **{"identity_url": url, **overrides})
        parts = Parts(given, bus, clock, timing or KeyTiming(clock=clock))
        deployable = parts.deployable(owns_bus=False)
        world = World(
            parts=parts,
            deployable=deployable,
            identity=identity,
            database=Database(database.app_url, pool_min=1, pool_max=4),
            owner_url=database.owner_url,
            bus=bus,
            clock=clock,
        )
        async with deployable.lifespan():
            if open_bus:
                bus.open()
            deployable.health.started = True
            yield world
        await world.close()
