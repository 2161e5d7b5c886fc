"""Bytes on their way into the parser: what it keeps to itself, and where it stops.

httptools tells of a name only when it is whole, and reads nothing behind a request that asks for
an upgrade, not even that request's own body.
"""

from typing import Any

import httptools

from gateway.lingering import LingeringProtocol

MAX_QUIET_BYTES = 64 * 1024
"""How much the parser may take without telling anything: a name without an end, blanks."""

_FRAMING = (b"content-length", b"transfer-encoding")


class FeedingProtocol(LingeringProtocol):
    """uvicorn's protocol; whoever refines its callbacks sets `_told` in each."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._told = False
        self._quiet_bytes = 0
        self._body_is_left = False
        self._over = False

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless it has read the last request of the connection."""
        self._unset_keepalive_if_required()
        if self._over:
            self._on_rest(data)
            return
        self._told = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._on_upgrade(data[stop.args[0] :])
            return
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        self._quiet_bytes = 0 if self._told else self._quiet_bytes + len(data)
        if self._quiet_bytes > MAX_QUIET_BYTES:
            self._on_too_quiet()

    def on_message_complete(self) -> None:
        """End a request, unless the parser has left its body out."""
        self._told = True
        if not self._body_is_left:
            super().on_message_complete()

    def _on_upgrade(self, rest: bytes) -> None:
        """Read the body of a request that asks for an upgrade; its answer is the last."""
        if not self._body_is_left:
            self._over = True
            self._on_rest(rest)
            return
        self._body_is_left = False
        self.parser = httptools.HttpRequestParser(_Body(self))
        head = b"POST / HTTP/1.1\r\n" + _framing_lines(self.headers) + b"\r\n"
        FeedingProtocol.data_received(self, head + rest)

    def _on_rest(self, data: bytes) -> None:
        """Take what follows the last request; here it is dropped."""
        self.discard(data)

    def _on_too_quiet(self) -> None:
        raise NotImplementedError


class _Body:
    """What a parser tells that reads one body alone."""

    def __init__(self, protocol: FeedingProtocol) -> None:
        self._protocol = protocol

    def on_body(self, body: bytes) -> None:
        """Take a piece."""
        if not self._protocol._over:  # noqa: SLF001 - one machine in two classes
            self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        """Drop what follows."""
        if not self._protocol._over:  # noqa: SLF001 - as above
            self._protocol.on_message_complete()
            self._protocol._over = True  # noqa: SLF001 - as above


def framed(headers: list[tuple[bytes, bytes]]) -> bool:
    """Say whether *headers* announce a body, be it empty."""
    return any(name in _FRAMING for name, _ in headers)


def _framing_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = (name + b": " + value + b"\r\n" for name, value in headers if name in _FRAMING)
    return b"".join(lines)
