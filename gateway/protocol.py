"""The gateway's side of HTTP/1.1 on the wire: limits while a request is still arriving.

uvicorn's protocol takes headers of any number and size and waits for them for ever; here both end,
and what cannot be parsed is answered with a problem like any other error.
"""

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from chassis.errors import BadRequest, Problem, RequestTimeout
from gateway.errors import AmbiguousRequest, HeadersTooLarge
from gateway.feeding import framed
from gateway.framing import MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from gateway.last_answer import last_answer, on_the_wire
from gateway.switching import SwitchingProtocol

HEADER_SECONDS = 10.0
"""How long a connection may take for the headers of a request."""


class GatewayProtocol(SwitchingProtocol):
    """uvicorn's protocol with limits on size, number and time, and problems for answers."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._headers_complete = False
        self._refusal: Problem | None = None
        self._begun = False
        self._in_body = False
        self._cycles: deque[RequestResponseCycle] = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Start the clock: a connection that says nothing ends like one that says it slowly."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer, and tell every request that its client is gone.

        uvicorn tells the newest alone: one that is being answered while others wait behind it would
        go on, and fail at its next write.
        """
        self._stop_timer()
        # uvicorn leaves it running after a reset: it would hold all of us until it is over.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Take bytes off the wire; after a refusal they are only counted."""
        if self._lingering:
            self.discard(data)
            return
        super().data_received(data)
        if self._timer is None and self._is_awaited and not self._is_ending:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Begin a request; the time for its headers begins when they do not come at once."""
        super().on_message_begin()
        self._told = self._begun = True
        self._header_bytes = 0
        self._headers_complete = False
        self._stop_timer()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        super().on_url(url)
        self._told = True
        if len(self.url) > MAX_TARGET_BYTES:
            self._refuse(HeadersTooLarge())

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; trailers are only counted.

        The parser reports the fields behind a chunked body like headers (RFC 9110 §6.5.1), and a
        proxy in front may not have looked at them: X-Forwarded-For would be the client's own.
        """
        if not self._headers_complete:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
        self._told = True
        self._header_bytes += len(name) + len(value) + 4
        if len(self.headers) > MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLarge())

    def on_headers_complete(self) -> None:
        """Judge version and form of the request target, then let uvicorn begin."""
        self._stop_timer()
        self._told = self._headers_complete = True
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(AmbiguousRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110 §10.1.1
        if not self.url.startswith(b"/") or b"#" in self.url:
            # Absolute form names a second host; authority and asterisk form are for proxies; a
            # fragment is never sent (RFC 9112 §3.2).
            self._refuse(AmbiguousRequest("The request target is not a path."))
        super().on_headers_complete()
        self._in_body = True
        self._forget_answered()
        self._cycles.append(self.cycle)
        if self.parser.should_upgrade():
            # The parser reads no request after an upgrade, also one we do not make: without this
            # the next on the connection would wait for ever.
            self.cycle.keep_alive = False
            self._body_is_left = framed(self.headers)
            if not self._body_is_left:
                self._offer()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body; one that nobody reads any more is discarded, to a limit."""
        super().on_body(body)
        self._told = True
        if self.cycle.response_complete:
            self.discard(body)

    def on_message_complete(self) -> None:
        """End a request: what comes from now on belongs to another.

        The parser takes `Connection: close` among the trailers for what it says, and reads no more.
        """
        super().on_message_complete()
        self._begun = self._in_body = False
        if not self.parser.should_keep_alive():
            self._be_last()

    def on_response_complete(self) -> None:
        """End an answer; what is left of a body nobody wanted has its time too."""
        super().on_response_complete()
        if self._answered and self._in_body and not self._is_ending:
            self._start_timer()

    def _let_go(self) -> None:
        """Hold no request any more: each holds us, and so neither would go before a collection."""
        nothing: Any = None
        self.cycle = nothing
        self._cycles.clear()
        self.pipeline.clear()

    def _forget_answered(self) -> None:
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()

    def _be_last(self) -> None:
        self.cycle.keep_alive = False
        if self.cycle.response_complete:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed, and close.

        When an earlier request is still being answered that answer comes first, and is the last.
        """
        del msg
        if self._is_ending:
            return
        if self._answered and self._in_body:
            self.transport.close()  # the rest of a request that has its answer
            return
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete
        if answering and cycle.more_body:
            self._refuse_body(cycle)
        elif answering:
            cycle.keep_alive = False
            self._over = True
        else:
            self._hang_up()

    def _refuse_body(self, cycle: RequestResponseCycle) -> None:
        """End the request whose own body is broken, in its turn."""
        if self.pipeline:
            # Others are to be answered before it: the refusal takes its place in the queue.
            refusal: Any = last_answer(self._refusal or BadRequest())
            self.pipeline[0] = (cycle, refusal)
            self._over = True
            return
        cycle.disconnected = True  # whoever reads the body learns that it is over
        cycle.message_event.set()
        if cycle.response_started:
            self.transport.close()
            return
        self._hang_up()

    @property
    def _answered(self) -> bool:
        """Whether every request whose headers are there has its answer."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _is_awaited(self) -> bool:
        """Whether headers should come: what is no request is no sign of life either."""
        return self._answered or (self._begun and not self._headers_complete)

    @property
    def _is_ending(self) -> bool:
        return self._lingering or self.transport.is_closing()

    def _more_may_come(self) -> bool:
        return self._in_body or self._over or bool(self.pipeline)

    def _on_too_quiet(self) -> None:
        self._refusal = HeadersTooLarge()
        self.send_400_response("")

    def _hang_up(self) -> None:
        self.transport.write(on_the_wire(last_answer(self._refusal or BadRequest())))
        self._stop_timer()
        self.linger()

    def _refuse(self, problem: Problem) -> None:
        """Stop parsing: httptools turns the exception into the call of `send_400_response`."""
        self._refusal = problem
        raise problem

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEADER_SECONDS, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        if self._is_ending:
            return
        if not self._begun:  # nobody asks anything
            self.transport.close()
            return
        self._refusal = RequestTimeout()
        self.send_400_response("")
