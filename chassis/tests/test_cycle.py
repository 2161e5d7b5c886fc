"""What services write: each whole answer as one piece, and what is streamed as it comes."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from chassis.cycle import WholeProtocol

_REQUEST = b"%b / HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire(asyncio.Transport):
    """Remembers what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Remember a piece; an empty one reaches nobody."""
        if data:
            self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Be closed."""
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""


async def _whole(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"ok")(scope, receive, send)


async def _empty(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=204)(scope, receive, send)


async def _pieces(scope: Scope, receive: Receive, send: Send) -> None:
    await StreamingResponse(iter([b"one", b"two"]))(scope, receive, send)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(await Request(scope, receive).body())(scope, receive, send)


async def _broken(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ConnectionError


async def answered(app: object, *requests: bytes) -> Wire:
    """Return what is written in answer to *requests*, which arrive as one piece."""
    wire, state = Wire(), ServerState()
    config = Config(app, log_config=None)  # type: ignore[arg-type]  # an ASGI app
    config.load()
    protocol = WholeProtocol(config=config, server_state=state, app_state={})
    protocol.connection_made(wire)
    protocol.data_received(b"".join(requests))
    while state.tasks:
        await asyncio.wait(state.tasks)
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    return wire


class TestWholeCycle:
    """`WholeCycle`, under the protocol of the services."""

    @pytest.mark.parametrize(
        ("app", "method", "end"),
        [
            (_whole, b"GET", b"\r\n\r\nok"),
            (_whole, b"HEAD", b"content-length: 2\r\n\r\n"),
            (_empty, b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ],
    )
    async def test_writes_an_answer_at_once(self, app: object, method: bytes, end: bytes) -> None:
        """Head and body are one piece, with or without a body."""
        (piece,) = (await answered(app, _REQUEST % method)).pieces
        assert piece.startswith(b"HTTP/1.1 20")
        assert piece.endswith(end)

    async def test_streams_what_comes_in_pieces(self) -> None:
        """The head goes with the first of them."""
        first, second, last = (await answered(_pieces, _REQUEST % b"GET")).pieces
        assert first.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        assert (second, last) == (b"3\r\ntwo\r\n", b"0\r\n\r\n")

    async def test_answers_in_turn(self) -> None:
        """Each request on the connection has a head of its own."""
        post = b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n"
        first, second = (await answered(_echo, post + b"1", post + b"2")).pieces
        assert (first[:12], first[-1:]) == (b"HTTP/1.1 200", b"1")
        assert (second[:12], second[-1:]) == (b"HTTP/1.1 200", b"2")

    async def test_says_nothing_of_an_answer_that_breaks_off(self) -> None:
        """Half a head would be no answer; the connection ends."""
        wire = await answered(_broken, _REQUEST % b"GET")
        assert (wire.pieces, wire.closed) == ([], True)
