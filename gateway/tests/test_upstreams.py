"""Upstreams that fail, several addresses of one, and what is sent twice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chassis.processes import free_port
from chassis.testing import eventually
from gateway.tests.world import World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

ROUTES = """
[[upstream]]
name = "mill"
urls = {urls}
read_timeout = 0.3
{more}

[[route]]
path = "/mill/{{rest...}}"
methods = ["GET", "POST", "PUT", "DELETE"]
upstream = "mill"
access = "public"
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Mill:
    """A server on one port, there or not; after `last_words` it hangs up."""

    port: int = field(default_factory=free_port)
    say: bytes = OK
    asked: list[bytes] = field(default_factory=list)
    silent: bool = False
    answers_per_connection: int = 1000
    last_words: bytes | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Be there."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def kill(self) -> None:
        """Be away at once, with every connection reset."""
        if self._server:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            for _ in range(self.answers_per_connection):
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head.split(b" HTTP", 1)[0])
                if self.silent:
                    await reader.read()
                if self.last_words is not None:
                    writer.write(self.last_words)
                    return
                writer.write(self.say)
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")  # and hang up
            self.asked.append(head.split(b" HTTP", 1)[0])
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def milling(tmp_path: Path, *mills: Mill, more: str = "") -> AsyncIterator[World]:
    """Start a gateway in front of the mills, which are there unless a test kills them."""
    for mill in mills:
        await mill.start()
    routes = tmp_path / "mill.toml"
    routes.write_text(ROUTES.format(urls=[mill.url for mill in mills], more=more), encoding="utf-8")
    try:
        async with start_world(tmp_path, routes_file=routes) as world:
            yield world
    finally:
        for mill in mills:
            mill.kill()


async def codes(world: World, *, times: int, method: str = "GET") -> list[str | int]:
    """Ask so many times; return the problems' codes, or the status where there is none."""
    answers = [await world.ask(method, "/mill/x") for _ in range(times)]
    return [
        answer.document["code"] if answer.status >= 500 and answer.body else answer.status
        for answer in answers
    ]


def metric(world: World, name: str, **labels: str) -> float | None:
    """Return a metric of the proxy."""
    whole = f"gatehouse_gateway_upstream_{name}"
    return world.gateway.metrics.registry.get_sample_value(whole, {"upstream": "mill", **labels})


class TestBreaker:
    """An address that fails."""

    async def test_is_left_alone_after_some_failures(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """503 with Retry-After at once, nothing is sent; one log line, and a gauge."""
        mill = Mill(silent=True)
        async with milling(tmp_path, mill, more="breaker_pause = 60") as world:
            found = await codes(world, times=7)
            refused = await world.ask("GET", "/mill/x")
            out = metric(world, "address_out", address=f"127.0.0.1:{mill.port}")
        assert found == ["gateway_timeout"] * 5 + ["upstream_unavailable"] * 2
        assert (refused.status, refused.headers["Retry-After"], out) == (503, "1", 1)
        assert len(mill.asked) == 5
        assert capsys.readouterr().out.count("upstream.left_alone") == 1

    async def test_is_not_judged_by_one_slow_request(self, tmp_path: Path) -> None:
        """Nor by answers that are errors of the caller or of the program."""
        mill = Mill()
        async with milling(tmp_path, mill) as world:
            mill.silent = True
            assert await codes(world, times=1) == ["gateway_timeout"]
            mill.silent = False
            for status in (b"404 Not Found", b"500 Internal Server Error"):
                mill.say = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status
                await codes(world, times=30)
            mill.say = OK
            assert await codes(world, times=1) == [200]

    async def test_is_left_alone_when_it_says_that_it_cannot_work(self, tmp_path: Path) -> None:
        """A product's 502, 503 and 504 count, when they are half of many."""
        mill = Mill(say=b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        async with milling(tmp_path, mill, more="breaker_pause = 60") as world:
            found = await codes(world, times=21)
        assert found == [503] * 20 + ["upstream_unavailable"]

    async def test_of_our_own_may_say_busy_as_often_as_it_likes(self, world: World) -> None:
        """Its 503 is one route's: logins that wait must not take the policy with them."""
        world.identity.status = 503
        path = "/api/v1/auth/password-policy"
        found = {(await world.ask("GET", path)).body for _ in range(30)}
        assert len(world.identity.seen) == 30
        assert all(b"service_unavailable" not in body for body in found)

    async def test_is_back_within_a_second_of_being_back(self, tmp_path: Path) -> None:
        """One of our own services, killed and started again."""
        mill = Mill()
        await mill.start()
        path = "/api/v1/auth/password-policy"
        async with start_world(tmp_path, identity_url=mill.url) as world:
            before = (await world.ask("GET", path)).status
            mill.kill()
            answers = [await world.ask("GET", path) for _ in range(10)]
            await mill.start()

            async def served() -> bool:
                return (await world.ask("GET", path)).status == 200

            await eventually(served, within=1.0)
            after = [(await world.ask("GET", path)).status for _ in range(20)]
        mill.kill()
        assert before == 200
        assert {answer.document["code"] for answer in answers} == {"service_unavailable"}
        assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
        assert after == [200] * 20


class TestSeveralAddresses:
    """An upstream of two."""

    async def test_share_the_requests(self, tmp_path: Path) -> None:
        """In turn."""
        mills = Mill(), Mill()
        async with milling(tmp_path, *mills) as world:
            assert await codes(world, times=10) == [200] * 10
        assert [len(mill.asked) for mill in mills] == [5, 5]

    async def test_stand_in_for_each_other(self, tmp_path: Path) -> None:
        """Nobody notices that one is away, and it is used again when it is back."""
        away, there = Mill(), Mill()
        async with milling(tmp_path, away, there) as world:
            away.kill()
            assert await codes(world, times=20) == [200] * 20
            assert metric(world, "retries_total", cause="refused") == 5
            asked = len(away.asked)
            await away.start()

            async def used() -> bool:
                await codes(world, times=1)
                return len(away.asked) > asked

            await eventually(used)

    async def test_are_503_when_all_are_away(self, tmp_path: Path) -> None:
        """At first each is tried."""
        mills = Mill(), Mill()
        async with milling(tmp_path, *mills, more="breaker_pause = 60") as world:
            for mill in mills:
                mill.kill()
            found = await codes(world, times=7)
        assert found == ["bad_gateway"] * 5 + ["upstream_unavailable"] * 2

    async def test_do_not_get_a_post_of_each_other(self, tmp_path: Path) -> None:
        """Whether it may be sent again is for the caller to know."""
        away, there = Mill(), Mill()
        async with milling(tmp_path, away, there) as world:
            away.kill()
            found = await codes(world, times=4, method="POST")
        assert sorted(map(str, found)) == ["200", "200", "bad_gateway", "bad_gateway"]

    async def test_are_left_out_while_their_health_check_fails(self, tmp_path: Path) -> None:
        """Though they answer; a check that succeeds brings them back."""
        sick, well = Mill(say=b"HTTP/1.1 500 Sick\r\nContent-Length: 0\r\n\r\n"), Mill()
        check = 'health_path = "/healthz"\nhealth_interval = 0.1'
        async with milling(tmp_path, sick, well, more=check) as world:
            address = f"127.0.0.1:{sick.port}"
            await eventually(lambda: metric(world, "address_out", address=address) == 1)
            assert await codes(world, times=10) == [200] * 10
            sick.say = OK
            await eventually(lambda: metric(world, "address_out", address=address) == 0)
        assert b"GET /healthz" in sick.asked
        assert b"GET /mill/x" not in sick.asked


class TestOnceMore:
    """What is sent again when a kept connection turns out to be closed."""

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    async def test_are_idempotent_requests_without_a_body(
        self, tmp_path: Path, method: str
    ) -> None:
        """On a new connection, counted."""
        mill = Mill(answers_per_connection=1)
        async with milling(tmp_path, mill) as world:
            assert await codes(world, times=4, method=method) == [200] * 4
            assert metric(world, "retries_total", cause="stale") in (2, 3)

    async def test_happens_once(self, tmp_path: Path) -> None:
        """An upstream that hangs up at a request does not get it for ever."""
        mill = Mill()
        async with milling(tmp_path, mill) as world:
            await codes(world, times=1)
            mill.last_words = b""
            found = await codes(world, times=1)
        assert found == ["bad_gateway"]
        assert len(mill.asked) == 3

    @pytest.mark.parametrize(
        ("method", "body"), [("POST", None), ("POST", b"x"), ("PUT", b"x"), ("GET", b"x")]
    )
    async def test_is_never_a_post_nor_what_has_a_body(
        self, tmp_path: Path, method: str, body: bytes | None
    ) -> None:
        """It may have been done already."""
        mill = Mill(answers_per_connection=1)
        async with milling(tmp_path, mill) as world:
            answers = [await world.ask(method, f"/mill/{number}", data=body) for number in range(6)]
            assert metric(world, "retries_total", cause="stale") is None
        assert {answer.status for answer in answers} == {200, 502}
        assert _most_often(mill.asked) == 1

    async def test_is_nothing_of_which_an_answer_had_begun(self, tmp_path: Path) -> None:
        """Half a header is a word from the upstream: it was at work."""
        mill = Mill()
        async with milling(tmp_path, mill) as world:
            await codes(world, times=1)
            mill.last_words = b"HTTP/1.1 200 OK\r\nX-Half: a\r\nX-Ha"
            found = await codes(world, times=1)
        assert found == ["bad_gateway"]
        assert len(mill.asked) == 2


def _most_often(asked: Sequence[bytes]) -> int:
    return max(asked.count(one) for one in asked)
