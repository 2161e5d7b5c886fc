"""One request on the fast path, from its admission to its answer, or to where it goes slow."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from chassis.http1.connection import Connection, Shortcut
from chassis.logs import get_logger
from gateway.fast_path.admitted import Admitted
from gateway.fast_path.answer import Answer, read_answer
from gateway.fast_path.gathered import GatheredWrites
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


class Lane(ABC):
    """What an exchange is part of."""

    gathered: GatheredWrites

    @abstractmethod
    def finish(self, exchange: "Exchange", connection: Connection, answer: Answer) -> bool:
        """Give the answer that is there as a whole; False when it wants a second look."""

    @abstractmethod
    def go_slow(self, exchange: "Exchange") -> None:
        """Take over what is not so simple."""


class Exchange(Shortcut):
    """Looks to uvicorn's protocol like the cycle of a request whose body has come to its end."""

    __slots__ = (
        "_lane",
        "admitted",
        "client",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
    )

    def __init__(self, admitted: Admitted, client: Client, lane: Lane) -> None:
        self.admitted = admitted
        self.client = client
        self._lane = lane
        self.keep_alive = True
        self.disconnected = self.more_body = self.response_complete = False
        self.message_event = _NOBODY

    def ask(self, begun: Begun, connection: Connection) -> None:
        """Send the request over the *connection* of *begun*, and be offered its answer."""
        try:
            request = request_of(self.admitted, begun.found[0].authority)
        except Exception:
            log.exception("fast_path.crashed")
            begun.drop()
            self.leave()
        else:
            connection.begin(request, bodyless=False, shortcut=self)

    def leave(self) -> None:
        """Go slow, wherever it is."""
        self.response_complete = True
        self._lane.go_slow(self)

    def send(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send the request with what else goes out in this turn of the loop."""
        self._lane.gathered.write(transport, data)

    def take(self, connection: Connection, data: bytes) -> bool:
        """Give the answer that *data* is, or go slow; say whether it was given."""
        if self.response_complete:
            return False
        try:
            if self.keep_alive and self.client.takes_answers:
                answer = read_answer(data)
                if answer is not None and self._lane.finish(self, connection, answer):
                    return True
        except Exception:
            log.exception("fast_path.crashed")
        if not self.response_complete:
            self.leave()
        return False


_NOBODY = _Nobody()
