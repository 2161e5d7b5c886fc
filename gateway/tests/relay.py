"""Between a client and a server: counts what passes, and can lose it without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext
from urllib.parse import urlsplit


class Relay:
    """Passes bytes to and fro; `chunks` are those of clients, as they came."""

    def __init__(self, host: str, port: int) -> None:
        self.url = ""
        self.connections = 0
        self.chunks: list[bytes] = []
        self.vanishing = False
        """Whether what either side sends gets lost; connecting works."""
        self._server_address = (host, port)
        self._writers: list[asyncio.StreamWriter] = []
        self._serving: set[asyncio.Task[None]] = set()

    def vanish(self) -> None:
        """Lose from now on what either side sends."""
        self.vanishing = True

    async def close(self) -> None:
        """Reset all connections and wait until nothing is passed on any more."""
        self.cut()
        if self._serving:
            await asyncio.wait(self._serving)

    def cut(self) -> None:
        """Reset all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        self.connections += 1
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server_address)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, server_writer]
        with suppress(OSError):
            await asyncio.gather(
                self._pass(reader, server_writer, self.chunks),
                self._pass(server_reader, writer, []),
            )
        for end in (writer, server_writer):
            end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[bytes]
    ) -> None:
        while data := await reader.read(2**20):
            seen.append(data)
            if not self.vanishing:
                writer.write(data)
        writer.transport.abort()


@asynccontextmanager
async def relaying(url: str, tls: SSLContext | None = None) -> AsyncIterator[Relay]:
    """Stand in front of the server of *url*, with TLS on wish."""
    parts = urlsplit(url)
    relay = Relay(parts.hostname or "127.0.0.1", parts.port or 0)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    relay.url = f"{parts.scheme}{'s' if tls else ''}://127.0.0.1:{port}{parts.path}"
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
        await server.wait_closed()
