"""The exchange with an upstream: open, stream, and end it when either side leaves."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from prometheus_client import Counter
from starlette.types import Receive, Send

from chassis.background import Background
from chassis.http1.connections import Connections
from chassis.http1.trouble import Trouble
from chassis.logs import get_logger
from chassis.metrics import Metrics
from gateway.errors import (
    UpstreamBusy,
    UpstreamFailed,
    UpstreamLeftAlone,
    UpstreamSlow,
    UpstreamUnavailable,
)
from gateway.proxy.assertions import Assertions
from gateway.proxy.body import CLIENT_CLOSED, ClientGone, Leash, Patience, RequestBody
from gateway.proxy.call import Call, Content
from gateway.proxy.entrance import Entrance
from gateway.proxy.exchange import Exchange
from gateway.proxy.headers import OutgoingHeaders, answer_headers
from gateway.proxy.inbound import Inbound
from gateway.proxy.sending import Sender, explain
from gateway.proxy.upstreams import Upstreams
from gateway.routing.table import Route, Upstream
from gateway.streams import OpenStreams
from gateway.websocket.forwarding import WebSockets

log = get_logger(__name__)
_GONE_WRONG = (UpstreamUnavailable, UpstreamLeftAlone, UpstreamBusy, UpstreamFailed, UpstreamSlow)


class Proxy:
    """Forwards requests over kept-alive connections. Use as an async context manager."""

    def __init__(
        self,
        *,
        assertions: Assertions,
        headers: OutgoingHeaders,
        streams: OpenStreams,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._connections = Connections()
        self._upstreams = Upstreams(metrics, now)
        self._sender = Sender(
            self._connections, assertions=assertions, headers=headers, metrics=metrics
        )
        self._websockets = WebSockets(headers, assertions, streams, metrics)
        self._failures = Counter(
            "gatehouse_gateway_upstream_failures",
            "Requests an upstream did not answer, by what went wrong.",
            ["upstream", "code"],
            registry=metrics.registry,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connections.close()

    def use(self, upstreams: Iterable[Upstream]) -> None:
        """Forward to these from now on; what is known of those that stay is kept."""
        self._upstreams.use(upstreams)

    async def watch(self, background: Background) -> None:
        """Check the health of the upstreams that want it, for ever; the supervised task."""
        await self._upstreams.watch(background, self._connections)

    def entrance(self, route: Route, upstream: Upstream) -> Entrance:
        """Return the way to *upstream* for requests to *route* that do not wait."""
        slots = self._upstreams.slots(upstream, route.bulkhead)
        addresses = self._upstreams.addresses(upstream)
        return Entrance(slots, addresses, self._connections, route.bulkhead)

    async def forward(self, request: Inbound, receive: Receive, send: Send) -> None:
        """Pass *request* on and its answer back.

        Raises PayloadTooLarge, RequestTimeout, and what went wrong upstream: UpstreamUnavailable,
        UpstreamLeftAlone, UpstreamBusy, UpstreamFailed, UpstreamSlow. A client that leaves and a
        token that dies end the exchange quietly: the answer breaks off.
        """
        request.check_length()
        try:
            await self._on_leash(request, receive, send)
        except ClientGone:
            request.state.problem_code = CLIENT_CLOSED
        except _GONE_WRONG as problem:
            self._failures.labels(request.upstream.name, problem.code).inc()
            request.state.problem_code = problem.code
            raise

    async def _on_leash(self, request: Inbound, receive: Receive, send: Send) -> None:
        """Exchange within the route's time for all of it, unless something ends it before.

        Raises UpstreamSlow.
        """
        patience = Patience(request.route.read_timeout, begun=False)
        body = RequestBody(receive, limit=request.route.body_limit, patience=patience)
        leash = Leash(request.route.total_timeout)
        leash.once_it_lasts(patience.begin)
        body.watch(leash)
        try:
            with leash:
                await self._exchange(Exchange(request, body, patience, leash), send)
        except TimeoutError:
            if leash.reason is None:
                raise UpstreamSlow from None
            request.state.problem_code = leash.reason

    async def _exchange(self, exchange: Exchange, send: Send) -> None:
        request, leash = exchange.request, exchange.leash
        addresses = self._upstreams.addresses(request.upstream)
        slots = self._upstreams.slots(request.upstream, request.route.bulkhead)
        if request.begun is None:
            addresses.ensure_one()
        content = await _content(request, exchange.body)
        async with request.begun or slots:
            if request.websocket is not None:
                await self._websockets.exchange(exchange, request.websocket, addresses, send)
                return
            call = await self._sender.open(exchange, content, addresses)
            try:
                with self._streams.holding(request.token, leash.end, leash=leash):
                    await _pass_back(call, exchange, send)
            finally:
                self._sender.close(call, request)


async def _content(request: Inbound, body: RequestBody) -> Content:
    """Return what is sent on: a stream to a product, to our own services mostly the whole body.

    A connection to one of our services is taken only for a request that has arrived: a few hundred
    bodies that never end would else hold them all, and nobody could log in. Imports are too large
    for that, and only administrators send them.
    """
    if not request.framing.has_body:
        body.skip()
        return None
    return body.chunks() if request.route.stream_body else await body.whole()


async def _pass_back(call: Call, exchange: Exchange, send: Send) -> None:
    """Send the answer piece by piece, as it comes.

    How long a client may take to read is for the connection to judge (`gateway.unread`).
    """
    request = exchange.request
    headers = answer_headers(
        call.headers,
        call.status,
        service=request.upstream.service,
        changes=request.route.headers.response,
    )
    await send({"type": "http.response.start", "status": call.status, "headers": headers})
    while not exchange.body.answered:
        piece = await _next_piece(call, exchange)
        last = exchange.body.answered = call.is_read
        await send({"type": "http.response.body", "body": piece, "more_body": not last})


async def _next_piece(call: Call, exchange: Exchange) -> bytes:
    """Return the next piece of the answer's body, empty at its end."""
    try:
        return await call.read()
    except (Trouble, TimeoutError) as error:
        log.warning("answer.broken_off", upstream=exchange.request.upstream.name)
        raise explain(error, exchange) from error
