"""What the fast path writes at the end of a turn of the loop, whatever else happens in it."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from chassis.http1.connection import Connection
from chassis.http1.names import Origin
from chassis.testing import eventually
from gateway.fast_path.gathered import GatheredWrites
from gateway.fast_path.protocol import FastProtocol
from gateway.tests.test_fast_path import get
from gateway.tests.world import World

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TRAILING = b"\r\n\r\nok"


class Recorder(asyncio.Transport):
    """Remembers in order what is done to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5), "sockname": ("127.0.0.1", 80)})
        self.done: list[bytes | str] = []
        self.breaks = False

    def write(self, data: Any) -> None:
        """Take *data*, or break."""
        if self.breaks:
            raise ZeroDivisionError
        self.done.append(bytes(data))

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return "close" in self.done or "abort" in self.done

    def close(self) -> None:
        """Write no more."""
        self.done.append("close")

    def abort(self) -> None:
        """Write no more, at once."""
        self.done.append("abort")

    def write_eof(self) -> None:
        """End this side."""
        self.done.append("eof")

    def get_write_buffer_size(self) -> int:
        """Return nothing: all is taken at once."""
        return 0

    def resume_reading(self) -> None:
        """Read."""


class Turn:
    """A client and its upstream's connection, both in the hands of the test."""

    def __init__(self, world: World) -> None:
        protocol: Any = world.gateway.protocol
        config = uvicorn.Config(world.gateway.http, http=protocol, lifespan="off", log_config=None)
        config.load()
        self.client: FastProtocol = protocol(
            config=config, server_state=ServerState(), app_state={}
        )
        self.out = Recorder()
        self.client.connection_made(self.out)
        self.upstream = Connection(lambda _: None)
        self.asked = Recorder()
        self.upstream.connection_made(self.asked)
        fast_path: Any = self.client.fast_path
        plan = fast_path._admission._plans.find(b"/shop/items/1")
        origin = Origin.of(str(plan.route.upstream.urls[0]))
        plan.entrance._connections.keep(self.upstream, origin, None)
        self.request = get(world)

    async def answered(self) -> None:
        """Ask, and be answered by the upstream, but not yet at the end of the turn."""
        self.client.data_received(self.request)
        assert self.asked.done == []
        await asyncio.sleep(0)
        assert len(self.asked.done) == 1
        self.upstream.data_received(ANSWER)
        assert self.out.done == []

    @property
    def first(self) -> bytes:
        """Return what was written first."""
        first = self.out.done[0]
        assert isinstance(first, bytes)
        return first


@pytest.fixture
async def turn(world: World) -> Turn:
    """Stand between a client and an upstream."""
    return Turn(world)


class TestAnAnswer:
    """It is written at the end of the turn that brought it, and before all that follows it."""

    async def test_is_written_at_the_end_of_the_turn(self, turn: Turn) -> None:
        """And once."""
        await turn.answered()
        await asyncio.sleep(0)
        assert turn.first.startswith(b"HTTP/1.1 200 OK\r\n")
        assert turn.first.endswith(TRAILING)
        assert len(turn.out.done) == 1

    async def test_comes_before_the_refusal_of_what_follows(self, turn: Turn) -> None:
        """Else it would be taken for the answer to that."""
        await turn.answered()
        turn.client.data_received(b"garbage\r\n\r\n")
        assert turn.first.endswith(TRAILING)
        refusal = turn.out.done[1]
        assert isinstance(refusal, bytes)
        assert refusal.startswith(b"HTTP/1.1 400 ")
        turn.client.connection_lost(None)

    async def test_comes_before_the_end_of_a_client_that_says_no_more(self, turn: Turn) -> None:
        """Who has sent all there is still reads."""
        await turn.answered()
        turn.client.eof_received()
        assert turn.first.endswith(TRAILING)

    async def test_comes_before_the_end_of_the_server(self, turn: Turn) -> None:
        """Nobody loses an answer by an update."""
        await turn.answered()
        turn.client.shutdown()
        assert turn.first.endswith(TRAILING)
        assert turn.out.done[1:] == ["close"]

    async def test_comes_before_the_connection_gives_way(self, turn: Turn) -> None:
        """It looks idle by then."""
        await turn.answered()
        turn.client.timeout_keep_alive_handler()
        assert turn.first.endswith(TRAILING)
        assert turn.out.done[1:] == ["close"]

    async def test_is_dropped_with_its_client(self, turn: Turn) -> None:
        """Nobody is there to read it."""
        await turn.answered()
        turn.out.abort()
        await asyncio.sleep(0)
        assert turn.out.done == ["abort"]

    async def test_of_a_client_that_has_begun_another_is_not_held_back(self, turn: Turn) -> None:
        """What comes behind it may be refused in the same call."""
        turn.client.data_received(turn.request)
        turn.client.data_received(b"GET /shop/items/2 HTTP/1.1\r\n")
        turn.upstream.data_received(ANSWER)
        assert turn.first.endswith(TRAILING)
        turn.client.connection_lost(None)


class TestIdleness:
    """One timer for a connection, whatever it asks in between."""

    async def test_ends_the_connection(self, turn: Turn) -> None:
        """After its time."""
        turn.client.timeout_keep_alive = 0
        await turn.answered()
        await eventually(lambda: "close" in turn.out.done)
        assert turn.first.endswith(TRAILING)

    async def test_is_counted_from_the_last_answer(self, turn: Turn) -> None:
        """The timer of one before only looks."""
        await turn.answered()
        turn.client._look_whether_idle()
        assert "close" not in turn.out.done
        assert turn.client.timeout_keep_alive_task is not None
        turn.client.connection_lost(None)

    async def test_is_not_while_an_answer_is_awaited(self, turn: Turn) -> None:
        """However long it takes."""
        await turn.answered()
        turn.client.timeout_keep_alive = 0
        turn.client.data_received(turn.request)
        turn.client._look_whether_idle()
        assert "close" not in turn.out.done
        turn.client.connection_lost(None)

    async def test_before_a_request_does_not_end_it(self, turn: Turn) -> None:
        """The parser's side sets a timer that closes without a look."""
        timer = turn.client.loop.call_later(60, turn.client.timeout_keep_alive_handler)
        turn.client.timeout_keep_alive_task = timer
        await turn.answered()
        assert timer.cancelled()
        turn.client.connection_lost(None)


class TestGatheredWrites:
    """Many transports in one turn."""

    async def test_are_in_order(self) -> None:
        """Of one transport as of many."""
        gathered, one, other = GatheredWrites(), Recorder(), Recorder()
        gathered.write(one, b"1")
        gathered.write(other, b"2")
        gathered.write(one, b"3")
        assert one.done == []
        await asyncio.sleep(0)
        assert (one.done, other.done) == ([b"1", b"3"], [b"2"])

    async def test_do_not_fail_together(self) -> None:
        """One transport that breaks is the only one that ends."""
        gathered, one, other = GatheredWrites(), Recorder(), Recorder()
        one.breaks = True
        gathered.write(one, b"1")
        gathered.write(other, b"2")
        gathered.flush()
        assert (one.done, other.done) == (["abort"], [b"2"])
        gathered.write(other, b"3")
        await asyncio.sleep(0)
        assert other.done == [b"2", b"3"]
