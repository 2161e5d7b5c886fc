"""The gateway's protocol with a fast path beside the parser."""

import asyncio
from typing import Any, ClassVar
from urllib.parse import unquote

from gateway.fast_path.exchange import Exchange
from gateway.fast_path.lane import FastPath
from gateway.protocol import GatewayProtocol


class FastProtocol(GatewayProtocol):
    """Offers each request to `fast_path` before the parser sees it; a `Client` to it."""

    fast_path: ClassVar[FastPath]
    _idle_since = 0.0
    _idle_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take bytes off the wire."""
        if not (self._is_between_requests and self.fast_path.take(self, data)):
            self.fast_path.gathered.flush()
            super().data_received(data)

    def eof_received(self) -> None:
        """Answer what is answered before the connection ends."""
        self.fast_path.gathered.flush()
        super().eof_received()

    def shutdown(self) -> None:
        """End an idle connection, or let the request it serves be its last."""
        self.fast_path.gathered.flush()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for too long, or gives way."""
        self.fast_path.gathered.flush()
        super().timeout_keep_alive_handler()

    @property
    def peer(self) -> str:
        """Return the address of the other end."""
        return self.client[0] if self.client else ""

    @property
    def common_headers(self) -> list[tuple[bytes, bytes]]:
        """Return what every answer says: the date."""
        return self.server_state.default_headers

    @property
    def takes_answers(self) -> bool:
        """Whether the client is there, and reads."""
        return not (self.flow.write_paused or self.transport.is_closing())

    def hold(self, exchange: Exchange) -> None:
        """Let *exchange* be what is being answered."""
        self._stop_timer()
        if self.timeout_keep_alive_task is not self._idle_timer:
            self._unset_keepalive_if_required()  # uvicorn's own, which does not look
        current: Any = exchange  # what uvicorn looks at is there
        self.cycle = current

    def finish(self, answer: bytes) -> None:
        """Write a whole answer, and go on to the next request."""
        if self._begun or self._over or self.pipeline:
            self.transport.write(answer)
            self.on_response_complete()
            return
        self.fast_path.gathered.write(self.transport, answer)
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_request(self.timeout_keep_alive)

    def serve(self, scope: dict[str, Any], instead_of: Exchange) -> None:
        """Let the app answer in the place of *instead_of*; others may wait behind it by now."""
        cycle: Any = self._cycle_of(scope, keep_alive=instead_of.keep_alive)
        cycle.more_body = False
        cycle.message_event.set()
        cycle.disconnected = instead_of.disconnected or self.transport.is_closing()
        current: Any = self.cycle
        if current is instead_of:
            self.cycle = cycle
        self._forget_answered()
        self._cycles.appendleft(cycle)
        self._let_linger(cycle)
        self._start_asgi_task(cycle, self.app)

    def scope_of(
        self, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
    ) -> dict[str, Any]:
        """Return the scope of a GET, as uvicorn would have made it."""
        text = path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": headers,
            "state": self.app_state.copy(),
            "method": "GET",
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
        }

    def _wait_for_request(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._look_whether_idle)
        self.timeout_keep_alive_task = self._idle_timer

    def _look_whether_idle(self) -> None:
        """Close a connection that asks nothing; a timer for each answer would cost more."""
        self.timeout_keep_alive_task = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self._answered and left <= 0:
            self.timeout_keep_alive_handler()
        else:
            self._wait_for_request(left if self._answered else self.timeout_keep_alive)

    @property
    def _is_between_requests(self) -> bool:
        return self._answered and not (self._begun or self._over or self._is_ending)


def protocol_with(fast_path: FastPath) -> type[FastProtocol]:
    """Return the protocol whose requests *fast_path* is offered."""
    return type("FastProtocol", (FastProtocol,), {"fast_path": fast_path})
