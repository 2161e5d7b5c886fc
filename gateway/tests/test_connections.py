"""Connections to upstreams: how they are opened, kept and given up."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chassis.clock import SystemClock
from chassis.http1 import connections
from chassis.http1.connections import Connections
from chassis.http1.names import Names, Origin
from chassis.http1.trouble import CannotConnect, ConnectTimedOut, HungUp
from chassis.testing import eventually
from gateway.proxy.body import Patience
from gateway.proxy.call import Call
from gateway.tests.calling import OK, Caller, Saying, calling, rest_of
from gateway.tests.scripted import Script, play


class TestKept:
    """Connections between two requests."""

    async def test_serve_again_the_last_used_first(self) -> None:
        """So that those that are too many are found idle."""
        upstream = Saying(*[OK] * 4)
        async with calling(upstream) as caller:
            first, second = await caller.begin(), await caller.begin()
            for call in (first, second):
                await rest_of(call)
                caller.end(call)
            third = await caller.begin()
            assert third.connection is second.connection
            third.end()
        assert upstream.connections == 2

    async def test_end_when_they_are_idle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before the upstream closes them while a request is on its way."""
        monkeypatch.setattr(connections, "_SWEEP_SECONDS", 0.01)
        gone = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await reader.read()
            gone.set()

        async with calling(script) as caller:
            caller.connections = Connections(keep=0.02)
            await caller.ask()
            await gone.wait()
            assert caller.connections.find(caller.origin, None) is None

    async def test_are_not_given_out_when_they_are_too_old(self) -> None:
        """Also before anybody has looked."""
        async with calling(Saying(OK)) as caller:
            caller.connections = Connections(keep=-1.0)
            await caller.ask()
            assert caller.connections.find(caller.origin, None) is None

    async def test_serve_their_bulkhead_alone(self) -> None:
        """And their address."""
        async with calling(Saying(OK)) as caller:
            await caller.ask()
            elsewhere = caller.origin._replace(port=caller.origin.port + 1)
            assert caller.connections.find(caller.origin, "some") is None
            assert caller.connections.find(elsewhere, None) is None
            assert caller.connections.find(caller.origin, None) is not None

    @pytest.mark.parametrize("unasked", [b"HTTP/1.1 408 Slow\r\n\r\n", b"x"])
    async def test_are_dropped_when_something_comes_that_nobody_asked_for(
        self, unasked: bytes
    ) -> None:
        """It would be taken for the next answer."""

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await more.wait()
            writer.write(unasked)
            await reader.read()

        more = asyncio.Event()
        async with calling(script) as caller:
            call = await caller.begin()
            await rest_of(call)
            assert caller.end(call)
            more.set()
            await eventually(lambda: not call.connection.usable)
            assert caller.connections.find(caller.origin, None) is None

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_are_not_those_with_more_than_an_answer(self, method: str) -> None:
        """The answer itself is whole."""
        async with calling(Saying(OK + OK)) as caller:
            status, _, kept = await caller.ask(method=method)
        assert (status, kept) == (200, False)

    async def test_are_not_those_whose_answer_nobody_has_read(self) -> None:
        """Though all of it is there."""
        async with calling(Saying(OK)) as caller:
            assert not caller.end(await caller.begin())

    async def test_are_not_left_open_by_who_leaves_as_the_answer_comes(self) -> None:
        """It is whole, and nobody is there to keep its connection."""

        async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with calling(script) as caller:
            connection = await caller.connections.open(caller.origin, within=2.0)
            call = Call(connection, Patience(60.0), caller.origin)
            asking = asyncio.create_task(call.ask(b"", None, chunked=False, bodyless=False))
            await eventually(lambda: connection._waiter is not None)
            connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await eventually(lambda: not caller.connections._open)

    async def test_that_end_before_they_are_used_say_so_at_once(self) -> None:
        """Nobody waits for an answer that cannot come."""

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        async with calling(script) as caller:
            connection = await caller.connections.open(caller.origin, within=2.0)
            await eventually(lambda: connection._transport is None)
            call = Call(connection, Patience(60.0), caller.origin)
            with pytest.raises(HungUp) as failure:
                await call.ask(b"", None, chunked=False, bodyless=False)
            assert not failure.value.stale
            assert not caller.connections._open

    async def test_are_closed_with_the_gateway(self) -> None:
        """Those in use too."""
        ended = asyncio.Event()

        async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.read()
            ended.set()

        async with calling(script) as caller:
            asking = asyncio.create_task(caller.ask())
            await eventually(lambda: caller.connections._open)
            await caller.connections.close()
            await ended.wait()
            assert await asyncio.gather(asking, return_exceptions=True)


class TestNamesOfUpstreams:
    """Names, and the addresses behind them."""

    async def test_with_several_addresses_are_tried_in_turn(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that is away costs its share of the time."""
        async with calling(Saying(OK)) as caller:
            known(monkeypatch, "127.0.0.3", "127.0.0.2", "127.0.0.1")
            there = caller.origin._replace(host="shop.example")
            connection = await caller.connections.open(there, within=2.0)
            assert connection.usable

    async def test_that_lead_nowhere_cannot_be_connected_to(self) -> None:
        """A name nobody has, one that is none, and one whose addresses all refuse."""
        for host in ("nobody.invalid", "a..b", "127.0.0.1"):
            with pytest.raises(CannotConnect):
                await Connections().open(Origin(False, host, 1, host), within=5.0)

    async def test_that_are_slow_to_find_take_the_time_to_connect(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Name, TCP and TLS together."""

        async def never(*_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        look_up_by(never, monkeypatch)
        with pytest.raises(ConnectTimedOut):
            await Connections().open(Origin(False, "slow.example", 80, "slow"), within=0.01)

    async def test_are_looked_up_once_in_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By all who ask at once, and not for each connection; each time another comes first."""
        asked = known(monkeypatch, "192.0.2.1", "192.0.2.2")
        names, origin = Names(), Origin(False, "shop.example", 80, "shop.example")
        found = await asyncio.gather(*(names.find(origin) for _ in range(3)))
        found.append(await names.find(origin))
        assert len(asked) == 1
        assert [one[0] for one in found] == ["192.0.2.2", "192.0.2.1"] * 2

    async def test_survive_who_gives_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The answer is for the others who wait."""
        known(monkeypatch, "192.0.2.1")
        names, origin = Names(), Origin(False, "shop.example", 80, "shop.example")
        hasty, patient = (asyncio.create_task(names.find(origin)) for _ in range(2))
        await asyncio.sleep(0)
        hasty.cancel()
        assert await patient == ("192.0.2.1",)

    def test_are_what_the_url_says(self) -> None:
        """With the port of the scheme, and brackets only in Host."""
        found = [Origin.of(url) for url in ("http://a", "https://b:444", "http://[::1]:80")]
        assert found == [
            Origin(False, "a", 80, "a"),
            Origin(True, "b", 444, "b:444"),
            Origin(False, "::1", 80, "[::1]"),
        ]


class TestTls:
    """Upstreams under https."""

    async def test_are_called_when_their_certificate_holds(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is signed by who is trusted, and says the name."""
        async with secured(Saying(OK, OK), tmp_path) as caller:
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
            assert [await caller.ask() for _ in range(2)] == [(200, b"ok", True)] * 2

    async def test_are_not_called_when_nobody_vouches_for_them(self, tmp_path: Path) -> None:
        """A certificate signed by itself."""
        async with secured(Saying(OK), tmp_path) as caller:
            with pytest.raises(CannotConnect):
                await caller.ask()

    async def test_are_not_called_under_another_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who is trusted for one address is not for another."""
        known(monkeypatch, "127.0.0.1")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        async with secured(Saying(OK), tmp_path) as caller:
            caller.origin = caller.origin._replace(host="shop.example")
            with pytest.raises(CannotConnect):
                await caller.ask()

    async def test_that_never_shake_hands_time_out(self) -> None:
        """As if they did not take the connection at all."""

        async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with calling(script) as caller:
            silent = caller.origin._replace(secure=True)
            with pytest.raises(ConnectTimedOut):
                await caller.connections.open(silent, within=0.05)


_STREAM = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def known(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name lead to *addresses*; return a list of what was asked."""
    asked = []

    async def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(*_STREAM, "", (address, port)) for address in addresses]

    look_up_by(look_up, monkeypatch)
    return asked


def look_up_by(look_up: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have names looked up by another function than the loop's."""
    resolving = _Resolving(asyncio.get_running_loop(), look_up)
    monkeypatch.setattr("chassis.http1.names.asyncio.get_running_loop", lambda: resolving)


class _Resolving:
    """A loop that looks names up elsewhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop, getaddrinfo: Any) -> None:
        self._loop = loop
        self.getaddrinfo = getaddrinfo

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


@asynccontextmanager
async def secured(script: Script, folder: Path) -> AsyncIterator[Caller]:
    """Run *script* under https with a certificate for 127.0.0.1, signed by itself."""
    _write_certificate(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "certificate.pem", folder / "certificate.key")
    server = await asyncio.start_server(partial(play, script), "127.0.0.1", 0, ssl=tls)
    caller = Caller(Origin.of("https://{}:{}".format(*server.sockets[0].getsockname())))
    try:
        yield caller
    finally:
        await caller.connections.close()
        server.close()


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    today, day = SystemClock().now(), timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - day)
        .not_valid_after(today + day)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "certificate.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
