"""The fast path: it says what the slow path says, and leaves to it what it cannot say."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import gateway.fast_path.exchange
from chassis.cycle import Cycle
from chassis.testing import eventually
from gateway.protocol import GatewayProtocol
from gateway.tests.signing import Subject
from gateway.tests.upstreams import Seen, listening
from gateway.tests.world import World
from gateway.tests.world import world as start_world

_OF_ONE_REQUEST = re.compile(rb"(?im)^(date|x-request-id): .*\r\n")


class Both:
    """One gateway at two ports: the one with a fast path, and the one without."""

    def __init__(self, world: World, slow: tuple[str, int]) -> None:
        self.world = world
        self._ports = {"fast": (world.host, world.port), "slow": slow}

    async def ask(self, path: str, data: bytes) -> bytes:
        """Return the answer to a request on a connection of its own."""
        reader, writer = await asyncio.open_connection(*self._ports[path])
        writer.write(data)
        try:
            async with asyncio.timeout(20):
                return await _answer(reader)
        finally:
            writer.close()

    async def compare(self, data: bytes) -> tuple[bytes, Seen]:
        """Ask both, and return what both gave and sent on; an upstream connection is kept."""
        await self.ask("slow", data)
        answers, seen = [], []
        for path in ("slow", "fast"):
            self.world.shop.seen.clear()
            answers.append(_OF_ONE_REQUEST.sub(b"", await self.ask(path, data)))
            seen.extend(self.world.shop.seen)
        assert answers[0] == answers[1]
        assert [_sent(one) for one in seen[:1]] == [_sent(one) for one in seen[1:]]
        return answers[1], seen[-1]


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length is not None:
        return head + await reader.readexactly(int(length[1]))
    chunked = b"transfer-encoding: chunked" in head.lower()
    return head + (await reader.readuntil(b"0\r\n\r\n") if chunked else b"")


def _sent(seen: Seen) -> tuple[Any, ...]:
    own = {"x-request-id", "traceparent"}
    return (seen.method, seen.target, [h for h in seen.headers if h[0] not in own], seen.body)


def served(world: World) -> dict[str, float]:
    """Return how many requests the fast path has answered and left to the other."""
    get = world.gateway.metrics.registry.get_sample_value
    name = "gatehouse_gateway_fast_path_total"
    return {kind: get(name, {"outcome": kind}) or 0 for kind in ("answered", "went_slow")}


@pytest.fixture
async def both(world: World) -> AsyncIterator[Both]:
    """Serve the same gateway at a second port, without a fast path."""
    async with listening(world.gateway.http, GatewayProtocol) as slow:
        yield Both(world, slow)


def get(world: World, *lines: bytes, target: bytes = b"/shop/items/1?x=1") -> bytes:
    """Return the request of somebody who is logged in."""
    bearer = world.bearer(Subject())["Authorization"].encode()
    head = [b"GET %b HTTP/1.1" % target, b"Host: api.example", b"Authorization: " + bearer, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n"


ANSWERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another status": {"status": 404, "answer": b"{}"},
    "an error": {"status": 500, "answer": b"x"},
    "nothing": {"status": 204},
    "not modified": {"status": 304, "headers": [(b"etag", b'"a"')]},
    "empty": {"answer": b""},
    "large": {"answer": b"x" * 200_000},
    "cookies": {"headers": [(b"set-cookie", b"a=b"), (b"set-cookie", b"gatehouse-x=1")]},
    "what speaks for the host": {"headers": [(b"alt-svc", b"x"), (b"x-request-id", b"1")]},
    "what we say too": {"headers": [(b"ratelimit", b"mine"), (b"vary", b"Accept")]},
    "nosniff": {"headers": [(b"x-content-type-options", b"other")]},
    "ours": {"headers": [(b"gatehouse-session", b"over")]},
    "hop by hop": {"headers": [(b"connection", b"keep-alive, x-a"), (b"x-a", b"1")]},
    "keep-alive": {"headers": [(b"connection", b"keep-alive"), (b"keep-alive", b"timeout=5")]},
    "the last": {"headers": [(b"connection", b"close")]},
}

HEADERS: dict[str, Sequence[bytes]] = {
    "none": (),
    "passed": (b"Accept: */*", b"X-Any: \xe4", b"Accept: text/html"),
    "claims": (b"X-Auth-Subject: admin", b"X-User: admin", b"X_Auth_Roles: admin"),
    "forwarded": (b"X-Forwarded-For: 203.0.113.9", b"X-Real-IP: 203.0.113.9"),
    "trace": (b"Traceparent: 00-%b-%b-01" % (b"a" * 32, b"b" * 16),),
    "connection": (b"Connection: keep-alive",),
}


class TestBothPaths:
    """Whoever asks, and whoever is asked, cannot tell which path it was."""

    @pytest.mark.parametrize("name", ANSWERS)
    async def test_give_the_same_answer(self, both: Both, name: str) -> None:
        """Byte for byte, but for the time and the id of the request."""
        for field, value in ANSWERS[name].items():
            setattr(both.world.shop, field, value)
        await both.compare(get(both.world))

    @pytest.mark.parametrize("name", HEADERS)
    async def test_send_the_same_request(self, both: Both, name: str) -> None:
        """Byte for byte, but for the id of the request and its span."""
        await both.compare(get(both.world, *HEADERS[name]))

    @pytest.mark.parametrize(
        "target",
        [b"/open/x", b"/open/%61?", b"/open/y?a=b?c", b"/open/x?q=%22", b"/shop/items/"],
    )
    async def test_go_to_the_same_place(self, both: Both, target: bytes) -> None:
        """With a token on routes for anybody, too."""
        await both.compare(get(both.world, target=target))

    async def test_believe_the_same_proxies(self, tmp_path: Path) -> None:
        """The client is the last address that no trusted proxy has."""
        async with (
            start_world(tmp_path, trusted_proxies="127.0.0.1/32") as world,
            listening(world.gateway.http, GatewayProtocol) as slow,
        ):
            line = b"X-Forwarded-For: 198.51.100.1, 203.0.113.9"
            _, seen = await Both(world, slow).compare(get(world, line))
        assert seen.header("x-forwarded-for") == "203.0.113.9"

    async def test_tell_pages_of_other_origins_the_same(self, tmp_path: Path) -> None:
        """That the answer could have been another for theirs."""
        async with (
            start_world(tmp_path, cors_allowed_origins="https://app.example") as world,
            listening(world.gateway.http, GatewayProtocol) as slow,
        ):
            both = Both(world, slow)
            answer, _ = await both.compare(get(world))
            assert b"vary: Origin\r\n" in answer
            world.shop.headers = [(b"vary", b"Accept")]
            await both.compare(get(world))


class TestTheFastPath:
    """When it is taken, and when it is left."""

    async def test_answers_what_is_plain(self, both: Both) -> None:
        """Once a connection to the upstream is kept."""
        await both.compare(get(both.world))
        assert served(both.world) == {"answered": 1, "went_slow": 0}

    async def test_counts_and_traces_a_request(self, both: Both) -> None:
        """Like any other; the answer's id is what the upstream was told."""
        trace = b"a" * 32
        await both.ask("slow", get(both.world))
        both.world.shop.seen.clear()
        answer = await both.ask(
            "fast", get(both.world, b"Traceparent: 00-%b-%b-01" % (trace, trace[16:]))
        )
        (seen,) = both.world.shop.seen
        assert f"x-request-id: {seen.header('x-request-id')}\r\n".encode() in answer
        assert (seen.header("traceparent") or "").startswith(f"00-{trace.decode()}-")
        count = both.world.gateway.metrics.registry.get_sample_value(
            "gatehouse_http_requests_total",
            {"method": "GET", "route": "/shop/{rest...}", "status": "200"},
        )
        assert count == 2
        assert both.world.gateway.metrics.in_flight == 0

    async def test_leaves_an_answer_that_takes_its_time(self, both: Both) -> None:
        """The slow path goes on where it was: the upstream is asked once."""
        await both.ask("slow", get(both.world))
        both.world.shop.seen.clear()
        both.world.shop.hold = asyncio.Event()
        asking = asyncio.create_task(both.ask("fast", get(both.world)))
        await eventually(lambda: served(both.world)["went_slow"] == 1)
        both.world.shop.hold.set()
        assert (await asking).startswith(b"HTTP/1.1 200")
        assert len(both.world.shop.seen) == 1
        assert both.world.gateway.metrics.in_flight == 0

    async def test_forgets_what_went_slow(self, both: Both) -> None:
        """A connection does not grow by what it has asked."""
        reader, writer = await asyncio.open_connection(both.world.host, both.world.port)
        both.world.shop.headers = [(b"connection", b"close")]
        for _ in range(5):
            writer.write(get(both.world))
            await _answer(reader)
        assert served(both.world) == {"answered": 0, "went_slow": 5}
        await eventually(lambda: len(_held(Cycle)) <= 2)
        writer.close()

    @pytest.mark.parametrize("path", ["fast", "slow"])
    async def test_leaves_nothing_of_a_lost_connection_to_the_collector(
        self, both: Both, path: str
    ) -> None:
        """What waits for it is memory that others could use: it comes seldom."""
        await both.ask("slow", get(both.world))
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await both.ask(path, get(both.world))
            await eventually(lambda: not _alive(GatewayProtocol))
        finally:
            gc.enable()

    async def test_opens_a_connection_by_the_slow_path(self, both: Both) -> None:
        """And charges the limit once."""
        request = get(both.world, target=b"/shop/orders/1")
        assert b";r=4;" in await both.ask("fast", request)
        assert served(both.world) == {"answered": 0, "went_slow": 1}
        assert b";r=3;" in await both.ask("fast", request)
        assert served(both.world) == {"answered": 1, "went_slow": 1}

    async def test_ends_with_its_client(self, both: Both) -> None:
        """Also where it was left: nobody waits for the answer any more."""
        await both.ask("slow", get(both.world))
        both.world.shop.hold = asyncio.Event()
        both.world.shop.arrived.clear()
        _, writer = await asyncio.open_connection(both.world.host, both.world.port)
        writer.write(get(both.world))
        await eventually(both.world.shop.arrived.is_set)
        writer.close()
        await eventually(both.world.shop.gone.is_set)
        await eventually(lambda: both.world.gateway.metrics.in_flight == 0)

    async def test_keeps_the_order_of_requests(self, both: Both) -> None:
        """One that comes while another is under way waits for its turn."""
        await both.ask("slow", get(both.world))
        both.world.shop.hold = asyncio.Event()
        both.world.shop.arrived.clear()
        reader, writer = await asyncio.open_connection(both.world.host, both.world.port)
        writer.write(get(both.world, target=b"/shop/items/first"))
        await eventually(both.world.shop.arrived.is_set)
        writer.write(get(both.world, target=b"/shop/items/second"))
        both.world.shop.hold.set()
        answers = [await _answer(reader), await _answer(reader)]
        writer.close()
        assert [b"first" in answers[0], b"second" in answers[1]] == [True, True]

    async def test_says_no_by_the_slow_path(self, both: Both) -> None:
        """Nothing is counted twice: neither a refusal nor the token of nobody."""
        answer = await both.ask("fast", get(both.world).replace(b"Bearer ", b"Bearer x"))
        assert answer.startswith(b"HTTP/1.1 401")
        request = get(both.world, target=b"/shop/orders/1")
        for _ in range(7):
            answer = await both.ask("fast", request)
        assert answer.startswith(b"HTTP/1.1 429")
        assert served(both.world) == {"answered": 4, "went_slow": 1}
        value = both.world.gateway.metrics.registry.get_sample_value
        assert value("gatehouse_gateway_rate_limited_total", {"limit": "route"}) == 2
        assert value("gatehouse_problems_total", {"code": "invalid_token"}) == 1


class TestALostConnection:
    """A connection that the upstream has closed while nobody asked."""

    async def test_costs_the_caller_nothing(self, both: Both) -> None:
        """The request goes on another one, once."""
        await both.ask("slow", get(both.world))
        for headers in ([(b"connection", b"close")], ()) * 20:
            both.world.shop.headers = headers
            answer = await both.ask("fast", get(both.world))
            assert answer.startswith(b"HTTP/1.1 200")
        assert len(both.world.shop.seen) == 41


@pytest.mark.interpreted
class TestADefectOfOurs:
    """What nobody foresaw costs time, not the request."""

    async def test_in_writing_the_request(
        self, both: Both, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The slow path writes it."""
        await both.ask("slow", get(both.world))
        monkeypatch.setattr(gateway.fast_path.exchange, "request_of", _broken)
        assert (await both.ask("fast", get(both.world))).startswith(b"HTTP/1.1 200")
        assert served(both.world) == {"answered": 0, "went_slow": 1}
        assert "fast_path.crashed" in capsys.readouterr().out

    async def test_in_reading_the_answer(
        self, both: Both, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The parser reads it; the upstream was asked once."""
        await both.ask("slow", get(both.world))
        both.world.shop.seen.clear()
        monkeypatch.setattr(gateway.fast_path.exchange, "read_answer", _broken)
        assert (await both.ask("fast", get(both.world))).startswith(b"HTTP/1.1 200")
        assert len(both.world.shop.seen) == 1
        assert both.world.gateway.metrics.in_flight == 0
        assert "fast_path.crashed" in capsys.readouterr().out

    async def test_in_counting_elsewhere(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        """The slow path meets it too, and says so: nobody waits for an answer that never comes."""
        parts = both.world.gateway.protocol.fast_path._admission._parts  # type: ignore[attr-defined]
        monkeypatch.setattr(parts.limiter, "decide_now", lambda *_: None)
        monkeypatch.setattr(parts.limiter, "ask", _broken)
        monkeypatch.setattr(parts.limiter, "decide", _breaking)
        answer = await both.ask("fast", get(both.world, target=b"/shop/orders/1"))
        assert answer.startswith(b"HTTP/1.1 500")
        assert len(parts.open_requests) == 0
        assert both.world.gateway.metrics.in_flight == 0


def _alive(kind: type) -> list[object]:
    """Return what is there of *kind*, also what nobody holds but itself."""
    return [held for held in gc.get_objects() if isinstance(held, kind)]


def _held(kind: type) -> list[object]:
    gc.collect()
    return [held for held in gc.get_objects() if type(held) is kind]


def _broken(*_: object) -> None:
    raise ZeroDivisionError


async def _breaking(*_: object) -> None:
    raise ZeroDivisionError


class TestWhatItRemembers:
    """Nobody fills the gateway's memory by asking."""

    async def test_is_bounded(self, both: Both) -> None:
        """Neither by many paths and addresses, nor by long ones."""
        admission = both.world.gateway.protocol.fast_path._admission  # type: ignore[attr-defined]
        plans, callers = admission._plans, admission._callers
        for number in range(5000):
            plans.find(b"/shop/%d" % number)
            callers.find("192.0.2.1", b"198.51.100.%d" % number)
        plans.find(b"/shop/" + b"x" * 300)
        callers.find("192.0.2.1", b"1" * 300)
        assert len(plans._by_path) == 5000 - 4096
        assert callers._known.cache_info().currsize == 4096
        assert plans.find(b"/shop/" + b"x" * 300).route.path == "/shop/{rest...}"
