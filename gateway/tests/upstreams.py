"""Small services behind the gateway of a test, on real ports."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from chassis.assertions import HEADER, Assertion, AssertionVerifier
from chassis.clock import SystemClock
from chassis.middleware import target_of
from contracts.internal import (
    IP_BLOCKS_PATH,
    JWKS_PATH,
    REVOCATIONS_PATH,
    IpBlock,
    IpBlockList,
    Revocation,
)
from gateway.tests.signing import SigningKey


def secret_of(name: str) -> bytes:
    """Return a secret for one edge or one purpose: such as it could be in production."""
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True)
class Seen:
    """One request as it reached an upstream."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    assertion: Assertion | None

    def values(self, name: str) -> list[str]:
        """Return all values of one header."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None."""
        values = self.values(name)
        assert len(values) < 2
        return values[0] if values else None


@dataclass
class Echo:
    """Answers every request with what it saw; `answer` replaces the answer.

    *audience* makes it one of our own services: calls without a valid assertion get 401.
    """

    audience: str | None = None
    seen: list[Seen] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None
    status: int = 200
    answer: bytes | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.arrived.set()
        assertion = self._assertion(scope)
        body = await _body(receive)
        if body is None:
            self.gone.set()
            return
        self.seen.append(_seen(scope, body, assertion))
        if self.hold is not None:
            await self._wait(receive)
        await self._respond(scope, body, send)

    def _assertion(self, scope: Scope) -> Assertion | None:
        if self.audience is None:
            return None
        verifier = AssertionVerifier(
            audience=self.audience,
            secrets={"gateway": [secret_of(self.audience)]},
            clock=SystemClock(),
        )
        values = [value for name, value in scope["headers"] if name == HEADER.encode()]
        assert len(values) == 1
        return verifier.verify(values[0].decode(), scope["method"], target_of(scope))

    async def _wait(self, receive: Receive) -> None:
        """Wait until the test lets go, or the caller leaves."""
        assert self.hold is not None
        leaving = asyncio.ensure_future(receive())
        holding = asyncio.ensure_future(self.hold.wait())
        await asyncio.wait({leaving, holding}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            self.gone.set()
        for task in (leaving, holding):
            task.cancel()

    async def _respond(self, scope: Scope, body: bytes, send: Send) -> None:
        content = self.answer
        if content is None:
            subjects = [v.decode() for n, v in scope["headers"] if n == b"x-auth-subject"]
            shown = {"target": target_of(scope), "body": body.decode("latin-1"), "sub": subjects}
            content = json.dumps(shown).encode()
        length = [(b"content-length", str(len(content)).encode())]
        headers = [(b"content-type", b"application/json"), *self.headers]
        if self.status not in (204, 304):
            headers += length
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        final: Message = {"type": "http.response.body", "body": content, "more_body": False}
        if self.status in (204, 304):
            final["body"] = b""
        await send(final)


@dataclass
class TokenService(Echo):
    """What the gateway asks of token: keys and revocations; everything else is echoed."""

    audience: str | None = "token"
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey("first")])
    entries: list[Revocation] = field(default_factory=list)
    revoked_keys: list[str] = field(default_factory=list)
    jwks_fetched: int = 0
    polled: int = 0
    away: bool = False

    def revoke(self, kind: str, value: str, until: datetime, below: int | None = None) -> None:
        """Add an entry to the deny list."""
        self.entries.append(
            Revocation.model_validate(
                {"kind": kind, "value": value, "below_version": below, "revoked_until": until}
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] == JWKS_PATH:
            self.jwks_fetched += 1
            await self._json(send, {"keys": [key.jwk for key in self.keys]})
        elif scope["path"] == REVOCATIONS_PATH:
            self.polled += 1
            await self._json(send, self._page(scope["query_string"].decode()))
        else:
            await super().__call__(scope, receive, send)

    def _page(self, query: str) -> dict[str, Any]:
        since = int(query.removeprefix("since=") or 0)
        page = self.entries[since : since + 2]
        return {
            "entries": [entry.model_dump(mode="json") for entry in page],
            "cursor": str(since + len(page)),
            "complete": since + len(page) == len(self.entries),
            "revoked_keys": self.revoked_keys,
        }

    async def _json(self, send: Send, document: dict[str, Any]) -> None:
        await _say(send, document, away=self.away)


@dataclass
class AuditService(Echo):
    """What the gateway asks of audit: blocks; everything else is echoed."""

    audience: str | None = "audit"
    blocks: list[IpBlock] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    away: bool = False

    def block(self, cidr: str, until: datetime | None = None) -> IpBlock:
        """Add a block to the list; return it."""
        block = IpBlock(block_id=uuid4(), cidr=cidr, expires_at=until)
        self.blocks.append(block)
        return block

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] != IP_BLOCKS_PATH:
            await super().__call__(scope, receive, send)
            return
        assert self._assertion(scope)
        known = scope["query_string"].decode().removeprefix("revision=")
        self.asked.append(known)
        revision = "-".join(str(block.block_id) for block in self.blocks) or "none"
        blocks = None if known == revision else tuple(self.blocks)
        page = IpBlockList(revision=revision, blocks=blocks)
        await _say(send, page.model_dump(mode="json"), away=self.away)


async def _say(send: Send, document: dict[str, Any], *, away: bool) -> None:
    body = b"" if away else json.dumps(document).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    status = 500 if away else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(
    app: Any, protocol: type[asyncio.Protocol] | str = "httptools"
) -> AsyncIterator[tuple[str, int]]:
    """Serve one ASGI app on a free port; give its address. It stops at once, without a drain."""
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    config.load()
    state = ServerState()
    made: Any = config.http_protocol_class
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: made(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        for connection in tuple(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)


@asynccontextmanager
async def serving(**apps: Any) -> AsyncIterator[dict[str, str]]:
    """Serve ASGI apps on free ports; give their URLs by name."""
    async with AsyncExitStack() as stack:
        yield {
            name: "http://{}:{}".format(*await stack.enter_async_context(listening(app)))
            for name, app in apps.items()
        }


async def _body(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


def _seen(scope: Scope, body: bytes, assertion: Assertion | None) -> Seen:
    headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
    return Seen(scope["method"], target_of(scope), headers, body, assertion)
