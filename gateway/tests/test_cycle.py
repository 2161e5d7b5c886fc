"""What an app may not make the wire say, whoever wrote it."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.protocol import GatewayProtocol
from gateway.tests.upstreams import listening

Header = tuple[bytes, bytes]


class App:
    """Answers with these headers, and two bytes."""

    def __init__(self, *headers: Header) -> None:
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del scope, receive
        start: Message = {"type": "http.response.start", "status": 200, "headers": self._headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"ok"})


async def answer_of(*headers: Header, method: bytes = b"GET") -> bytes:
    """Return what a client is sent until the connection ends."""
    async with listening(App(*headers), GatewayProtocol) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        try:
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


class TestCycle:
    """`Cycle`, under the protocol of the gateway."""

    @pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b"\x00", b"\x7f", b"\x0b"])
    async def test_writes_no_header_that_would_begin_another(self, end: bytes) -> None:
        """Nothing of the answer is sent, but 500 in its place."""
        answer = await answer_of((b"x-a", b"1" + end + b"x-b: 2"))
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"x-b" not in answer

    async def test_writes_no_more_than_was_announced(self) -> None:
        """What goes beyond would be the next answer."""
        answer = await answer_of((b"content-length", b"1"))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n")

    async def test_says_how_long_the_body_is(self) -> None:
        """By its length where that is known, else in chunks."""
        whole, chunked = await answer_of((b"content-length", b"2")), await answer_of()
        assert whole.endswith(b"content-length: 2\r\nconnection: close\r\n\r\nok")
        assert chunked.endswith(b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")

    async def test_gives_head_no_body(self) -> None:
        """Whatever the app says."""
        answer = await answer_of((b"content-length", b"2"), method=b"HEAD")
        assert answer.endswith(b"content-length: 2\r\nconnection: close\r\n\r\n")
