"""One request on the fast path, from its admission to its answer, or to where it goes slow."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from chassis.http1.connection import Connection
from chassis.logs import get_logger
from gateway.fast_path.admitted import Admitted
from gateway.fast_path.answer import Answer, read_answer
from gateway.fast_path.writing import request_of
from gateway.proxy.begun import Begun

log = get_logger(__name__)


class Client(Protocol):
    """The connection of whoever asks, as the fast path sees it."""

    @property
    def peer(self) -> str:
        """The address of the other end; empty when it is not known."""

    @property
    def common_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What every answer says."""

    @property
    def takes_answers(self) -> bool:
        """Whether an answer that is written now is sent at once."""

    def hold(self, exchange: "Exchange") -> None:
        """Let *exchange* be what is being answered."""

    def finish(self, answer: bytes) -> None:
        """Write a whole answer, and go on to the next request."""

    def serve(self, scope: dict[str, Any], instead_of: "Exchange") -> None:
        """Let the app answer in the place of *instead_of*."""

    def scope_of(
        self, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
    ) -> dict[str, Any]:
        """Return the ASGI scope of a GET."""


class _Nobody:
    """What waits for messages of the client here: nobody."""

    def set(self) -> None:
        """Tell nobody."""


class Exchange:
    """Looks to uvicorn's protocol like the cycle of a request whose body has come to its end.

    *finish* is called with an answer that is there as a whole, and says whether it was given;
    *go_slow* takes over when it is not so simple.
    """

    __slots__ = (
        "_finish",
        "_go_slow",
        "admitted",
        "client",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
    )

    def __init__(
        self,
        admitted: Admitted,
        client: Client,
        *,
        finish: "Callable[[Exchange, Connection, Answer], bool]",
        go_slow: "Callable[[Exchange], None]",
    ) -> None:
        self.admitted = admitted
        self.client = client
        self._finish = finish
        self._go_slow = go_slow
        self.keep_alive = True
        self.disconnected = self.more_body = self.response_complete = False
        self.message_event = _NOBODY

    def ask(
        self,
        begun: Begun,
        connection: Connection,
        send: Callable[[asyncio.Transport, bytes], None],
    ) -> None:
        """Send the request over the *connection* of *begun*, and be offered its answer."""
        try:
            request = request_of(self.admitted, begun.found[0].authority)
        except Exception:
            log.exception("fast_path.crashed")
            begun.drop()
            self.leave()
        else:
            take = partial(self._take, connection)
            connection.begin(request, bodyless=False, take=take, send=send)

    def leave(self) -> None:
        """Go slow, wherever it is."""
        self.response_complete = True
        self._go_slow(self)

    def _take(self, connection: Connection, data: bytes) -> bool:
        """Give the answer that *data* is, or go slow; say whether it was given."""
        if self.response_complete:
            return False
        try:
            if self.keep_alive and self.client.takes_answers:
                answer = read_answer(data)
                if answer is not None and self._finish(self, connection, answer):
                    return True
        except Exception:
            log.exception("fast_path.crashed")
        if not self.response_complete:
            self.leave()
        return False


_NOBODY = _Nobody()
