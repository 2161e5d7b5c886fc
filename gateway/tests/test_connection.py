"""What is an answer, and where it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from chassis.http1.head import head_of
from chassis.http1.trouble import Garbled, HungUp
from chassis.testing import eventually
from gateway.tests.calling import OK, Saying, calling, rest_of
from gateway.tests.scripted import saying

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"


class TestAnswers:
    """Answers that are whole."""

    @pytest.mark.parametrize("said", [OK, CHUNKED + b"\r\n", CHUNKED + b"X-Late: 1\r\n\r\n"])
    async def test_end_where_they_say(self, said: bytes) -> None:
        """And the connection serves the next request; trailers are dropped."""
        upstream = Saying(said, said)
        async with calling(upstream) as caller:
            call = await caller.begin()
            body = await rest_of(call)
            names = [name for name, _ in call.headers]
            assert caller.end(call)
            assert await caller.ask() == (200, b"ok", True)
        assert body == b"ok"
        assert b"x-late" not in names
        assert upstream.connections == 1

    @pytest.mark.parametrize("version", [b"1.0", b"1.1"])
    async def test_end_with_the_connection_when_they_say_nothing(self, version: bytes) -> None:
        """RFC 9112 §6.3."""
        async with calling(saying(b"HTTP/%b 200 OK\r\n\r\nto the end" % version)) as caller:
            assert await caller.ask() == (200, b"to the end", False)

    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ],
    )
    async def test_may_be_the_last(self, said: bytes) -> None:
        """The connection is not used again."""
        upstream = Saying(said, said)
        async with calling(upstream) as caller:
            assert [await caller.ask() for _ in range(2)] == [(200, b"ok", False)] * 2
        assert upstream.connections == 2

    @pytest.mark.parametrize(
        ("method", "head"),
        [
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\n"),
        ],
    )
    async def test_without_a_body_end_with_their_head(self, method: str, head: bytes) -> None:
        """The next answer on the connection is another."""
        upstream = Saying(head + b"\r\n", OK)
        async with calling(upstream) as caller:
            first = await caller.ask(method=method)
            second = await caller.ask()
        assert first == (int(head.split()[1]), b"", True)
        assert second == (200, b"ok", True)
        assert upstream.connections == 1

    @pytest.mark.parametrize(
        ("method", "head"),
        [
            ("HEAD", b"HTTP/1.1 200 OK\r\n"),
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
            ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n"),
        ],
    )
    async def test_that_may_bring_a_body_they_cannot_have_are_the_last(
        self, method: str, head: bytes
    ) -> None:
        """Some servers send it all the same: it would be taken for the next answer."""
        upstream = Saying(head + b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
        async with calling(upstream) as caller:
            assert await caller.ask(method=method) == (int(head.split()[1]), b"", False)
            assert await caller.ask() == (200, b"mine", True)
        assert upstream.connections == 2

    async def test_come_after_what_only_announces_them(self) -> None:
        """100 and 103 are not passed on, nor are their headers."""
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        async with calling(Saying(early + OK)) as caller:
            call = await caller.begin()
            assert (call.status, [name for name, _ in call.headers]) == (200, [b"content-length"])
            call.end()

    async def test_are_read_as_fast_as_they_are_wanted(self) -> None:
        """An upstream cannot fill the gateway's memory for a client that does not read."""
        wrote = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal wrote
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            for _ in range(1024):
                writer.write(b"x" * 65536)
                await writer.drain()
                wrote += 65536

        async with calling(script) as caller:
            call = await caller.begin()
            stopped = await _stands_still(lambda: wrote)
            size = len(await rest_of(call))
            call.end()
        assert stopped < 32 * 1024 * 1024  # what the kernel's buffers take
        assert size == 64 * 1024 * 1024


class TestNoAnswers:
    """What is refused."""

    @pytest.mark.parametrize(
        "said",
        [
            b"SSH-2.0-OpenSSH_9\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"y" * 4096) * 9 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000,
            b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000,
        ],
    )
    async def test_are_whatever_can_be_read_in_two_ways(self, said: bytes) -> None:
        """And what is too large or has no end."""
        async with calling(Saying(said)) as caller:
            with pytest.raises(Garbled):
                await caller.ask()

    async def test_are_trailers_without_an_end(self) -> None:
        """The body was passed on already: it breaks off."""
        async with calling(Saying(CHUNKED + b"X-Late: " + b"y" * 400_000)) as caller:
            call = await caller.begin()
            with pytest.raises(Garbled):
                await rest_of(call)
            assert not call.end()

    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX-Half: a\r\nX-Ha"])
    async def test_are_those_that_do_not_begin(self, said: bytes) -> None:
        """On a new connection there is nothing stale about it."""
        async with calling(saying(said)) as caller:
            with pytest.raises(HungUp) as failure:
                await caller.ask()
        assert not failure.value.stale

    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        ],
    )
    async def test_are_those_that_do_not_end(self, said: bytes) -> None:
        """What there was of them comes first."""
        async with calling(saying(said)) as caller:
            call = await caller.begin()
            assert await call.read() == b"only this"
            with pytest.raises(HungUp):
                await call.read()
            assert not call.end()

    async def test_is_silence(self) -> None:
        """As long as the upstream's patience lasts."""

        async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with calling(script) as caller:
            caller.patience = 0.05
            with pytest.raises(TimeoutError):
                await caller.ask()


class TestRequests:
    """What is sent."""

    async def test_are_chunked_when_nobody_knows_how_long_they_are(self) -> None:
        """And the answer may come when all of it is there."""
        bodies = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            bodies.append(await reader.readuntil(b"0\r\n\r\n"))
            writer.write(OK)
            await reader.read()

        async with calling(script) as caller:
            assert await caller.ask(_pieces(b"one", b"three"), method="POST") == (200, b"ok", True)
        assert bodies == [b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"]

    async def test_wait_for_an_upstream_that_does_not_read(self) -> None:
        """No more is taken from the client than the upstream wants."""
        taken = 0
        read = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read.wait()
            while not (await reader.read(65536)).endswith(b"0\r\n\r\n"):
                pass
            writer.write(OK)
            await reader.read()

        async def body() -> AsyncIterator[bytes]:
            nonlocal taken
            for _ in range(1024):
                yield b"x" * 65536
                taken += 65536

        async with calling(script) as caller:
            asking = asyncio.create_task(caller.ask(body(), method="POST"))
            stopped = await _stands_still(lambda: taken)
            read.set()
            answer = await asking
        assert stopped < 32 * 1024 * 1024
        assert answer == (200, b"ok", True)

    async def test_may_be_answered_before_they_are_sent(self) -> None:
        """The rest is not sent, and the connection serves nobody else."""
        left = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"x"
                await asyncio.Event().wait()
            finally:
                left.set()

        async with calling(Saying(OK)) as caller:
            answer = await caller.ask(body(), method="POST")
            await left.wait()
        assert answer == (200, b"ok", False)

    async def test_that_nobody_reads_break_off_with_the_connection(self) -> None:
        """An upstream that hangs up in the middle of a body."""

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()

        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536

        async with calling(script) as caller:
            with pytest.raises(HungUp):
                await caller.ask(body(), method="POST")

    @pytest.mark.parametrize("value", [b"a\r\nX-Auth-Subject: b", b"a\nb", b"a\rb"])
    def test_have_no_header_of_two_lines(self, value: bytes) -> None:
        """Whoever wrote it there."""
        with pytest.raises(ValueError, match="line break"):
            head_of("GET", "/", [(b"x", value)])


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _stands_still(counter: Callable[[], int]) -> int:
    """Wait until a count that has begun does not move any more; return it."""
    last = -1

    async def still() -> bool:
        nonlocal last
        before, last = last, counter()
        for _ in range(100):
            await asyncio.sleep(0)
        return 0 < before == counter()

    await eventually(still)
    return last
