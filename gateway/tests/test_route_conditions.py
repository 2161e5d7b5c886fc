"""Scopes as access, and the time a whole exchange may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.tests.scripted import scripted
from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

SCOPED = """
[[upstream]]
name = "orders"
url = "{url}"
read_timeout = 20

[[route]]
path = "/orders"
methods = ["GET", "POST"]
upstream = "orders"
access = ["admin", "scope:orders.read", "scope:orders.all"]

[[route]]
path = "/timed"
methods = ["GET", "POST"]
upstream = "orders"
access = "public"
total_timeout = 0.3
"""


class TestScopes:
    """A route for some scopes, or one role."""

    @pytest.mark.parametrize(
        ("roles", "scope", "status"),
        [
            (("user",), "", 403),
            (("user",), "orders.write", 403),
            (("user",), "orders.reader orders.rea", 403),
            (("user",), "orders.write orders.read", 200),
            (("user",), "orders.all", 200),
            (("admin",), "", 200),
            (("orders.read",), "", 403),
            (("scope:orders.read",), "", 403),
            (("user",), "admin", 403),
        ],
    )
    async def test_let_in_who_has_one_of_them(
        self, tmp_path: Path, roles: tuple[str, ...], scope: str, status: int
    ) -> None:
        """The claim is a list of words (RFC 8693 §4.2), and roles are not among them."""
        async with ordering(tmp_path) as (world, _):
            headers = world.bearer(Subject(roles=roles), scope=scope)
            answer = await world.ask("GET", "/orders", headers=headers)
        assert answer.status == status

    async def test_tell_what_is_missing(self, tmp_path: Path) -> None:
        """RFC 6750 §3: the scopes that would do."""
        async with ordering(tmp_path) as (world, _):
            answer = await world.ask("GET", "/orders", headers=world.bearer(Subject()))
        assert answer.document["code"] == "insufficient_scope"
        assert answer.headers["WWW-Authenticate"] == (
            'Bearer error="insufficient_scope", scope="orders.all orders.read"'
        )

    async def test_ask_for_a_token_first(self, tmp_path: Path) -> None:
        """Nobody is 401, not 403."""
        async with ordering(tmp_path) as (world, _):
            answer = await world.ask("GET", "/orders")
        assert (answer.status, answer.document["code"]) == (401, "unauthenticated")


class TestTotalTimeout:
    """`total_timeout` of a route."""

    async def test_is_504_when_there_is_no_answer_in_time(self, tmp_path: Path) -> None:
        """The upstream's connection is closed; the failure is counted."""
        async with ordering(tmp_path) as (world, slow):
            answer = await world.ask("GET", "/timed")
            await slow.gone.wait()
            failures = world.gateway.metrics.registry.get_sample_value(
                "gatehouse_gateway_upstream_failures_total",
                {"upstream": "orders", "code": "gateway_timeout"},
            )
        assert (answer.status, answer.document["code"]) == (504, "gateway_timeout")
        assert failures == 1

    async def test_is_not_renewed_by_what_trickles(self, tmp_path: Path) -> None:
        """An answer that has begun is broken off: its client must not take it for whole."""
        async with ordering(tmp_path) as (world, slow):
            slow.trickles = True
            said = await world.raw(b"GET /timed HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await slow.gone.wait()
        assert said.startswith(b"HTTP/1.1 200 ")
        assert not said.endswith(b"0\r\n\r\n")

    async def test_counts_a_body_that_does_not_end(self, tmp_path: Path) -> None:
        """All of the exchange is meant."""
        async with ordering(tmp_path) as (world, _):
            said = await world.raw(
                b"POST /timed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"
            )
        assert said.startswith(b"HTTP/1.1 504 ")

    async def test_leaves_other_routes_their_time(self, tmp_path: Path) -> None:
        """The same upstream, asked for longer."""
        async with ordering(tmp_path) as (world, slow):
            headers = world.bearer(Subject(roles=("admin",)))
            await world.ask("GET", "/timed")
            slow.go.set()
            answer = await world.ask("GET", "/orders", headers=headers)
        assert answer.status == 200


@asynccontextmanager
async def ordering(folder: Path) -> AsyncIterator[tuple[World, "Slow"]]:
    """Give a gateway with SCOPED in front of a slow upstream."""
    slow, routes = Slow(), folder / "orders.toml"
    async with scripted(slow) as url:
        routes.write_text(SCOPED.format(url=url))
        async with start_world(folder, routes_file=routes) as world:
            yield world, slow


class Slow:
    """An upstream: `/orders` answers at once, `/timed` when it may, or in pieces for ever."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.gone = asyncio.Event()
        self.trickles = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"/timed" in head:
                await self._linger(reader, writer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def _linger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trickles:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        left = asyncio.ensure_future(reader.read())
        while not left.done() and not self.go.is_set():
            if self.trickles:
                writer.write(b"1\r\nx\r\n")
            await asyncio.wait({left}, timeout=0.05)
        self.gone.set()
