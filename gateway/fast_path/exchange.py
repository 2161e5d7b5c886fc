"""One request on the fast path, from its admission to its answer, or to where it goes slow."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from chassis.http1.connection import Connection
from gateway.fast_path.admitted import Admitted

_WAITED_FOR = 64 * 1024
"""An announced body up to so many bytes is answered as a whole, unless it takes its time."""


class Client(Protocol):
    """The connection of whoever asks, as the fast path sees it."""

    @property
    def peer(self) -> str:
        """The address of the other end; empty when it is not known."""

    @property
    def common_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What every answer says."""

    def scope_of(
        self, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
    ) -> dict[str, Any]:
        """Return the ASGI scope of a GET."""

    def hold(self, exchange: "Exchange") -> None:
        """Let *exchange* be what is being answered."""

    def serve(self, scope: dict[str, Any], instead_of: "Exchange") -> None:
        """Let the app answer in the place of *instead_of*."""

    def write_answer(self, data: bytes) -> None:
        """Write a whole answer."""

    def on_response_complete(self) -> None:
        """Go on to the next request."""

    @property
    def takes_answers(self) -> bool:
        """Whether an answer that is written now is sent at once."""


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
        "connection",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        admitted: Admitted,
        client: Client,
        *,
        finish: "Callable[[Exchange], bool]",
        go_slow: "Callable[[Exchange], None]",
    ) -> None:
        self.admitted = admitted
        self.client = client
        self._finish = finish
        self._go_slow = go_slow
        self.connection: Connection | None = None
        self.keep_alive = True
        self.disconnected = self.more_body = False
        self.response_started = self.response_complete = False
        self.message_event = _NOBODY

    def ask(self, connection: Connection, request: bytes) -> None:
        """Send *request*, and be called when there is news of its answer."""
        self.connection = connection
        connection.begin(request, bodyless=False)
        connection.call_at_news(self._heard)

    def leave(self) -> None:
        """Go slow, wherever it is."""
        if self.connection is not None:
            self.connection.call_at_news(None)
        self.response_complete = True
        self._go_slow(self)

    def _heard(self) -> None:
        connection = self.connection
        if connection is None or self.response_complete:
            return
        if not connection.finished and not connection.failed and self._is_coming(connection):
            connection.call_at_news(self._heard)
        elif not (
            connection.finished
            and self.keep_alive
            and self.client.takes_answers
            and self._finish(self)
        ):
            self.leave()

    def _is_coming(self, connection: Connection) -> bool:
        """Say whether the rest of the answer is waited for: it is short, and it is known how long.

        Of any other the client gets what there is as soon as it is there.
        """
        if not connection.status:
            return True
        length = connection.content_length
        return length is not None and length <= _WAITED_FOR


_NOBODY = _Nobody()
