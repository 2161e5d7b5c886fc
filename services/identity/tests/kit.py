"""What identity's tests share: the service as an ASGI app, its callers, and a look inside."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import sqlalchemy as sa

from chassis.app import Deployable
from chassis.assertions import HEADER, AssertionSigner
from chassis.caller import Principal
from chassis.clock import Clock
from chassis.crypto import unseal
from chassis.database import Database
from chassis.ids import uuid7
from chassis.inprocess import InProcessBus
from chassis.testing import FixedClock, FreshDatabase, eventually
from contracts.commands import SendPasswordResetMail, SendVerificationMail
from contracts.envelope import CloudEvent, EventData
from services.identity.app import build
from services.identity.hashing import PasswordHasher
from services.identity.tests.configuration import (
    ADDRESS,
    CHEAP,
    GATEWAY_SECRET,
    MAIL_KEY,
    PASSWORD,
    TOKEN_SECRET,
    settings_for,
)

_HASH = PasswordHasher(CHEAP).hash(PASSWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """An account of a test."""

    id: UUID
    email: str
    username: str
    password: str
    session_id: UUID = field(default_factory=uuid4)

    def principal(self, *roles: str, version: int = 1) -> Principal:
        """Return who this is with an access token of *roles*."""
        return Principal(
            user_id=self.id,
            session_id=self.session_id,
            roles=frozenset(roles or ("user",)),
            version=version,
        )


class World:
    """A running identity service, called as the gateway and token call it."""

    def __init__(self, deployable: Deployable, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        transport = httpx.ASGITransport(app=deployable.http)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://identity")
        self._signers = {
            issuer: AssertionSigner(
                issuer=issuer, audience="identity", secrets=[secret], clock=clock
            )
            for issuer, secret in (("gateway", GATEWAY_SECRET), ("token", TOKEN_SECRET))
        }

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        principal: Principal | None = None,
        address: str | None = ADDRESS,
        issuer: str = "gateway",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Send one request with an assertion, as the gateway or token does."""
        target = f"{path}?{urlencode(query)}" if query else path
        assertion = self._signers[issuer].sign(
            method, target, request_id="test-request", principal=principal, client_address=address
        )
        raw = (
            content if content is not None else None if body is None else json.dumps(body).encode()
        )
        return await self.client.request(
            method,
            target,
            content=raw,
            headers={
                HEADER: assertion,
                "Content-Type": "application/json",
                "User-Agent": "identity-tests",
                "X-Request-Id": "test-request",
                **(headers or {}),
            },
        )

    def sign(self, method: str, path: str, principal: Principal) -> dict[str, str]:
        """Return the header that lets one request in."""
        assertion = self._signers["gateway"].sign(
            method, path, request_id="test-request", principal=principal, client_address=ADDRESS
        )
        return {HEADER: assertion}

    async def post(self, path: str, body: Any = None, **how: Any) -> httpx.Response:
        """Send one POST."""
        return await self.call("POST", path, body, **how)

    async def login(
        self,
        name: str,
        password: str,
        *,
        device_token: str | None = None,
        address: str | None = ADDRESS,
        deadline_seconds: float = 5.0,
    ) -> httpx.Response:
        """Ask `authenticate`, as token does."""
        body = {
            "username": name,
            "password": password,
            "device_token": device_token,
            "deadline_seconds": deadline_seconds,
        }
        return await self.post("/internal/v1/authenticate", body, issuer="token", address=address)

    async def register(self, username: str = "ada", *, verified: bool = True) -> Somebody:
        """Make an account."""
        email = f"{username}@example.com"
        answer = await self.post(
            "/api/v1/auth/register",
            {"email": email, "username": username, "password": PASSWORD},
        )
        assert answer.status_code == 201, answer.text
        user_id = UUID(answer.json()["id"])
        if verified:
            token = await self.token_mailed_to(email)
            verify = await self.post("/api/v1/auth/email/verify", {"token": token})
            assert verify.status_code == 200, verify.text
        return Somebody(id=user_id, email=email, username=username, password=PASSWORD)

    async def make(self, username: str, *roles: str) -> Somebody:
        """Put a verified account with *roles* besides `user` straight into the database."""
        user_id, email = uuid7(self.clock), f"{username}@example.com"
        await self.execute(
            "INSERT INTO users (id, email, email_folded, username, password_hash, is_verified,"
            " version, created_at) VALUES (:id, :email, :email, :name, :hash, true, 2, now())",
            id=user_id,
            email=email,
            name=username,
            hash=_HASH,
        )
        await self.execute(
            "INSERT INTO user_roles (user_id, role, granted_at)"
            " SELECT :id, unnest(CAST(:roles AS text[])), now()",
            id=user_id,
            roles=["user", *roles],
        )
        return Somebody(id=user_id, email=email, username=username, password=PASSWORD)

    async def reset_token(self, email: str) -> str:
        """Ask for a reset and return the token that was mailed."""
        before = len(await self.commands(SendPasswordResetMail))
        answer = await self.post("/api/v1/auth/password-reset", {"email": email})
        assert answer.status_code == 200
        await self.mails_settled()
        after = await self.commands(SendPasswordResetMail)
        assert len(after) == before + 1
        return secret_of(after[-1])

    async def token_mailed_to(self, email: str) -> str:
        """Return the newest verification token mailed to *email*."""
        mails = await self.commands(SendVerificationMail)
        return secret_of([mail for mail in mails if mail.data["email"] == email][-1])

    async def mails_settled(self) -> None:
        """Wait until the worker has dealt with every request."""

        async def none_waits() -> bool:
            waiting = "SELECT count(*) FROM mail_requests WHERE done_at IS NULL"
            return bool(await self.value(waiting) == 0)

        await eventually(none_waits)

    async def events(self, kind: type[EventData]) -> Sequence[CloudEvent]:
        """Return what the outbox holds of *kind*, oldest first."""
        rows = await self.rows(
            "SELECT body FROM outbox WHERE routing_key = :type ORDER BY id", type=kind.type
        )
        return [CloudEvent.from_dict(row.body) for row in rows]

    commands = events

    async def rows(self, statement: str, **parameters: Any) -> Sequence[sa.Row[Any]]:
        """Return what the database says."""
        async with self.database.transaction() as tx:
            return (await tx.execute(sa.text(statement), parameters)).all()

    async def value(self, statement: str, **parameters: Any) -> Any:
        """Return the one value the database says."""
        async with self.database.transaction() as tx:
            return await tx.scalar(sa.text(statement), parameters)

    async def execute(self, statement: str, **parameters: Any) -> None:
        """Change the database behind the service's back."""
        async with self.database.transaction() as tx:
            await tx.execute(sa.text(statement), parameters)

    async def close(self) -> None:
        """Close the client and the look inside."""
        await self.client.aclose()
        await self.database.close()


@asynccontextmanager
async def run_world(
    database: FreshDatabase, clock: FixedClock, **overrides: Any
) -> AsyncIterator[World]:
    """Run identity on *database* for the length of a block."""
    bus = InProcessBus()
    bus.open()
    deployable = build(settings_for(database, **overrides), bus=bus, clock=clock, argon2=CHEAP)
    world = World(deployable, Database(database.owner_url, pool_min=1, pool_max=4), clock)
    try:
        async with deployable.lifespan():
            yield world
    finally:
        await world.close()


def secret_of(command: CloudEvent) -> str:
    """Open the seal as notify does."""
    context = f"{command.type}:{command.id}"
    return unseal([MAIL_KEY], command.data["sealed_token"], context=context).decode()


def codes_of(answer: httpx.Response) -> set[tuple[str, str]]:
    """Return pointer and code of every field error of a problem."""
    return {(error["pointer"], error["code"]) for error in answer.json().get("errors", [])}


async def at_once(count: int, call: Any) -> list[httpx.Response]:
    """Start *count* calls together and return their answers."""
    return list(await asyncio.gather(*(call(number) for number in range(count))))
