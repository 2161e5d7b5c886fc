"""Raw bytes on the wire: whatever comes, the answer is 4xx and a closed connection."""

import asyncio
import json
from pathlib import Path

import pytest

import gateway.protocol
import gateway.proxy.body
from gateway.tests.world import World
from gateway.tests.world import world as start_world

OK = b"GET /open/ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GET = b"GET /open/x HTTP/1.1\r\n"
POST = b"POST /open/x HTTP/1.1\r\nHost: a\r\n"
LOGIN = b"/api/v1/auth/login"

CORPUS = {
    "two hosts": GET + b"Host: a\r\nHost: b\r\n\r\n",
    "no host": GET + b"\r\n",
    "empty host": GET + b"Host:\r\n\r\n",
    "host with a user": GET + b"Host: good:@evil\r\n\r\n",
    "absolute form": b"GET http://evil/open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority form": b"CONNECT evil:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CL and TE": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two CL": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal CL": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "CL list": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "CL plus": POST + b"Content-Length: +3\r\n\r\nabc",
    "CL negative": POST + b"Content-Length: -3\r\n\r\n",
    "CL hexadecimal": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "CL endless": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "TE unknown": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE list": POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "TE gzip": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two TE": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE with a space": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "fragment": b"GET /open/x#y HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare LF": b"GET /open/x HTTP/1.1\nHost: a\n\n",
    "bare LF in headers": GET + b"Host: a\nX: y\r\n\r\n",
    "bare CR": GET + b"Host: a\rX: y\r\n\r\n",
    "obs-fold": GET + b"Host: a\r\nX: y\r\n z\r\n\r\n",
    "obs-fold at once": GET + b" Host: a\r\n\r\n",
    "space before the colon": GET + b"Host : a\r\n\r\n",
    "no colon": GET + b"Host: a\r\nnonsense\r\n\r\n",
    "empty name": GET + b"Host: a\r\n: y\r\n\r\n",
    "NUL in a value": GET + b"Host: a\r\nX: y\x00z\r\n\r\n",
    "NUL in a name": GET + b"Host: a\r\nX\x00: y\r\n\r\n",
    "control in a value": GET + b"Host: a\r\nX: \x01\r\n\r\n",
    "non-ASCII name": GET + b"Host: a\r\n\xc3\xa9: y\r\n\r\n",
    "bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "huge chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 20 + b"\r\n",
    "chunk without CRLF": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
    "LF after a chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": b"GET /open/x HTTP/3.0\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /open/x\r\n\r\n",
    "no such method": b"FROB /open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower-case method": b"get /open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "garbage": bytes(range(256)) * 4,
    "NUL bytes": bytes(1000),
    "long target": b"GET /open/" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "long header": GET + b"Host: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    "long name": GET + b"Host: a\r\n" + b"y" * 100_000 + b": x\r\n\r\n",
    "many headers": GET + b"Host: a\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    "two tokens": GET + b"Host: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "raw non-ASCII path": b"GET /open/caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw non-ASCII query": b"GET /open/x?\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the path": b"GET /open/a b HTTP/1.1\r\nHost: a\r\n\r\n",
    **{
        f"path {path.decode('latin-1')}": b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        for path in (
            b"//open/x",
            b"/open//x",
            b"/open/./x",
            b"/open/../shop/orders/all",
            b"/open/%2e%2e/shop/orders/all",
            b"/open/.%2E/shop",
            b"/open%2fx",
            b"/open%2F..%2Fshop",
            b"/open/..%5cshop",
            b"/open/..\\shop",
            b"/open/x;y=1",
            b"/open/x%3By",
            b"/open/x%00",
            b"/open/x%0d%0aX:%20y",
            b"/open/%252e%252e/shop",
            b"/open/%c0%ae%c0%ae/shop",
            b"/open/%zz",
        )
    },
}


class TestCorpus:
    """Requests nobody honest sends."""

    @pytest.mark.parametrize("name", CORPUS)
    async def test_gets_4xx_and_a_closed_connection(self, world: World, name: str) -> None:
        """Nothing of it reaches an upstream, and the next client is served."""
        answer = await world.raw(CORPUS[name])
        after = await world.raw(OK)
        assert answer.startswith(b"HTTP/1.1 4")
        assert answer.count(b"HTTP/1.1 ") == 1
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head.lower()
        assert json.loads(body)["code"]
        assert after.startswith(b"HTTP/1.1 200")
        assert [seen.target for seen in world.shop.seen] == ["/open/ok"]

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("two hosts", "ambiguous_request"),
            ("absolute form", "ambiguous_request"),
            ("path /open/../shop/orders/all", "ambiguous_path"),
            ("many headers", "headers_too_large"),
            ("long target", "headers_too_large"),
            ("bare LF", "bad_request"),
        ],
    )
    async def test_says_what_was_wrong(self, world: World, name: str, code: str) -> None:
        """As problem details like every other error."""
        head, _, body = (await world.raw(CORPUS[name])).partition(b"\r\n\r\n")
        assert json.loads(body)["code"] == code
        assert b"application/problem+json" in head
        assert b"x-content-type-options: nosniff" in head.lower()


class TestPipelining:
    """Several requests at once on one connection."""

    async def test_is_answered_in_order(self, world: World) -> None:
        """One answer after the other."""
        one = b"GET /open/1 HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await world.raw(one + one.replace(b"/open/1", b"/open/2") + OK)
        assert answer.count(b"HTTP/1.1 200") == 3
        assert [seen.target for seen in world.shop.seen] == ["/open/1", "/open/2", "/open/ok"]

    async def test_garbage_never_takes_the_place_of_an_answer(self, world: World) -> None:
        """The request before it is answered first, and is the last."""
        answer = await world.raw(b"GET /open/1 HTTP/1.1\r\nHost: a\r\n\r\n\x00garbage\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.count(b"HTTP/1.1 ") == 1

    async def test_a_broken_body_is_refused_in_its_turn(self, world: World) -> None:
        """The answers keep the order of the requests."""
        one = b"GET /open/1 HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await world.raw(one + CORPUS["bad chunk size"] + OK)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.count(b"HTTP/1.1 ") == 2
        assert b"HTTP/1.1 400" in answer
        assert [seen.target for seen in world.shop.seen] == ["/open/1"]

    async def test_does_not_hide_a_request_in_a_body(self, world: World) -> None:
        """What was declared as a body is a body, also when nobody reads it."""
        smuggled = b"GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        head = b"POST /shop/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
        answer = await world.raw(head + smuggled + OK)
        assert answer.startswith(b"HTTP/1.1 401")
        assert [seen.target for seen in world.shop.seen] == ["/open/ok"]


class TestTrailers:
    """Fields behind a chunked body."""

    CHUNKED = b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    LAST = b"Connection: close\r\n\r\n1\r\nx\r\n0\r\n"

    async def test_are_no_headers(self, tmp_path: Path) -> None:
        """Neither an address a trusted proxy did not write, nor anything else."""
        async with start_world(tmp_path, trusted_proxies="127.0.0.1/32") as world:
            head = self.CHUNKED + b"X-Forwarded-For: 198.51.100.7\r\n" + self.LAST
            trailers = b"X-Forwarded-For: 203.0.113.9\r\nHost: b\r\nCookie: a=b\r\nX-Late: 1\r\n"
            answer = await world.raw(head + trailers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        (seen,) = world.shop.seen
        assert seen.body == b"x"
        assert seen.header("x-forwarded-for") == "198.51.100.7"
        assert not {"cookie", "x-late"} & {name for name, _ in seen.headers}

    async def test_count_as_headers(self, world: World) -> None:
        """What nobody reads may not be endless either."""
        trailers = b"X-Late: %s\r\n" % (b"1" * 1000) * 40
        answer = await world.raw(self.CHUNKED + self.LAST + trailers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 431")
        assert world.shop.seen == []

    async def test_leave_the_next_request_whole(self, world: World) -> None:
        """Its headers are read again."""
        first = self.CHUNKED + b"\r\n1\r\nx\r\n0\r\nX-Late: 1\r\n\r\n"
        answer = await world.raw(first + OK.replace(b"Host", b"X-Early: 1\r\nHost"))
        assert answer.count(b"HTTP/1.1 200") == 2
        assert world.shop.seen[1].header("x-early") == "1"


class TestUpgrades:
    """Upgrades are not made: the request is answered as it stands."""

    @pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
    async def test_end_the_connection(self, world: World, protocol: bytes) -> None:
        """The parser reads nothing after one, so no second request may wait for an answer."""
        upgrade = b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
        answer = await world.raw(GET + b"Host: a\r\n" + upgrade)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert world.shop.seen[0].header("upgrade") is None


class TestSlowClients:
    """Clients that take their time."""

    @pytest.mark.parametrize("said", [b"", b"GET /open/x HT", GET + b"Host: a\r\nX: y\r\n"])
    async def test_do_not_hold_a_connection_without_a_request(
        self, world: World, monkeypatch: pytest.MonkeyPatch, said: bytes
    ) -> None:
        """408 once something was said, else the connection simply closes."""
        monkeypatch.setattr(gateway.protocol, "HEADER_SECONDS", 0.1)
        answer = await world.raw(said)
        assert answer.startswith(b"HTTP/1.1 408") == bool(said)

    async def test_do_not_disturb_others(self, world: World) -> None:
        """A hundred half requests, and the next is served."""
        idle = [await asyncio.open_connection(world.host, world.port) for _ in range(100)]
        for _, writer in idle:
            writer.write(b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        answer = await world.raw(OK)
        for _, writer in idle:
            writer.close()
        assert answer.startswith(b"HTTP/1.1 200")

    async def test_take_no_connection_to_our_services(self, world: World) -> None:
        """More half bodies than there are connections, and others still log in."""
        half = b"POST /api/v1/auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"
        idle = [await asyncio.open_connection(world.host, world.port) for _ in range(220)]
        for _, writer in idle:
            writer.write(half)
            await writer.drain()
        answer = await world.ask("POST", "/api/v1/auth/login", data=b"{}")
        for _, writer in idle:
            writer.close()
        assert answer.status == 200
        assert [seen.target for seen in world.token.seen] == ["/api/v1/auth/login"]

    @pytest.mark.parametrize("piece", [b"", b"x"])
    async def test_have_a_time_for_a_body_of_ours(
        self, world: World, monkeypatch: pytest.MonkeyPatch, piece: bytes
    ) -> None:
        """Silence and a drip end alike: 408, and nothing has reached the service."""
        monkeypatch.setattr(gateway.proxy.body, "_WHOLE_SECONDS", 0.3)
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(POST.replace(b"/open/x", LOGIN) + b"Content-Length: 60000\r\n\r\nx")
        # Not to the end: who goes on to send into a closed connection may be reset.
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        while not answer.done():
            writer.write(piece)
            await asyncio.wait([answer], timeout=0.05)
        writer.close()
        assert answer.result().startswith(b"HTTP/1.1 408")
        assert world.token.seen == []

    async def test_are_not_taken_for_a_slow_upstream(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A body that stops for longer than the upstream's patience (1 s) is the client's 408."""
        monkeypatch.setattr(gateway.proxy.body, "_IDLE_SECONDS", 1.3)
        answer = await world.raw(POST + b"Content-Length: 9\r\n\r\nhalf")
        assert answer.startswith(b"HTTP/1.1 408")


class TestUnreadBodies:
    """Bodies of requests that were refused."""

    async def test_are_discarded_to_a_limit(self, world: World) -> None:
        """The answer is read, then the connection ends: nobody uploads a gigabyte to a 401."""
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(b"POST /shop/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            await _upload_without_end(writer)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 401")


async def _upload_without_end(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()
