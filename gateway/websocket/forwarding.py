"""One request that becomes a WebSocket connection: to an address, joined, watched until it ends."""

import asyncio
import ssl
from functools import cache

from prometheus_client import Counter, Gauge
from starlette.types import Send

from chassis.http1.head import head_of
from chassis.http1.names import Origin
from chassis.logs import get_logger
from chassis.metrics import Metrics
from gateway.errors import UpstreamFailed, UpstreamSlow
from gateway.proxy.addresses import Address, Addresses, note
from gateway.proxy.assertions import Assertions
from gateway.proxy.exchange import Exchange
from gateway.proxy.headers import OutgoingHeaders, answer_headers
from gateway.proxy.inbound import Inbound
from gateway.streams import OpenStreams
from gateway.websocket.client import ClientSide
from gateway.websocket.handshake import accepts, key_of
from gateway.websocket.tunnel import Tunnel
from gateway.websocket.upstream import Head, NoAnswer, UpstreamSide

_SWITCHED = 101
_UPGRADE = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
log = get_logger(__name__)


class WebSockets:
    """Makes the connections of routes with `websocket = true`."""

    def __init__(
        self,
        headers: OutgoingHeaders,
        assertions: Assertions,
        streams: OpenStreams,
        metrics: Metrics,
    ) -> None:
        self._headers = headers
        self._assertions = assertions
        self._streams = streams
        self._open = Gauge(
            "gatehouse_gateway_websockets_open",
            "WebSocket connections that pass through.",
            ["upstream"],
            registry=metrics.registry,
        )
        self._ended = Counter(
            "gatehouse_gateway_websockets_ended",
            "WebSocket connections that have ended, by why.",
            ["upstream", "reason"],
            registry=metrics.registry,
        )

    async def exchange(
        self, exchange: Exchange, client: ClientSide, addresses: Addresses, send: Send
    ) -> None:
        """Shake hands with an upstream, and carry bytes both ways until either side has enough.

        Raises HandshakeInvalid, WebSocketVersion, UpstreamFailed, UpstreamSlow, UpstreamLeftAlone.
        """
        request = exchange.request
        key = key_of(request.headers)
        upstream, head = await self._shake_hands(request, addresses)
        try:
            if head.status != _SWITCHED:
                await _pass_back(upstream, head, exchange, send)
                return
            if not accepts(head.status, head.headers, key):
                raise UpstreamFailed
            client.switch()
            await send(_start(head, request, _UPGRADE))
            exchange.body.answered = True
            await self._carry(exchange, client, upstream)
        finally:
            upstream.close()

    async def _shake_hands(
        self, request: Inbound, addresses: Addresses
    ) -> tuple[UpstreamSide, Head]:
        """Ask one address after the other until one takes the connection, and return its answer."""
        tried: list[Address] = []
        while found := addresses.find(tried):
            address, passage = found
            try:
                upstream = await _connect(address.origin, request.upstream.connect_timeout)
            except TimeoutError:
                address.breaker.failed(passage)
                raise UpstreamSlow from None
            except OSError:
                address.breaker.failed(passage)
                tried.append(address)
                continue
            try:
                head = await self._ask(upstream, request, address)
            except (UpstreamFailed, UpstreamSlow):
                address.breaker.failed(passage)
                raise
            note(head.status, address, passage, own=False)
            return upstream, head
        raise UpstreamFailed if tried else addresses.refusal()

    async def _ask(self, upstream: UpstreamSide, request: Inbound, address: Address) -> Head:
        try:
            async with asyncio.timeout(request.route.read_timeout):
                return await upstream.ask(self._head(request, address))
        except NoAnswer:
            raise UpstreamFailed from None
        except TimeoutError:
            upstream.close()
            raise UpstreamSlow from None
        except asyncio.CancelledError:
            upstream.close()
            raise

    def _head(self, request: Inbound, address: Address) -> bytes:
        host = (b"host", address.origin.authority.encode())
        headers = [host, *self._headers.build(request), *self._assertions.headers(request)]
        return head_of("GET", request.target, [*headers, *_UPGRADE])

    async def _carry(self, exchange: Exchange, client: ClientSide, upstream: UpstreamSide) -> None:
        request = exchange.request
        tunnel = Tunnel(client, upstream, idle=request.route.idle_timeout)
        name, reason = request.upstream.name, "gateway_closed"
        self._open.labels(name).inc()
        try:
            with self._streams.holding(request.token, tunnel.end, leash=exchange.leash):
                upstream.join(tunnel)
                client.join(tunnel)
                reason = await tunnel.ended()
        finally:
            tunnel.close()
            self._open.labels(name).dec()
            self._ended.labels(name, reason).inc()
            log.info(
                "websocket.ended",
                upstream=name,
                reason=reason,
                bytes_in=tunnel.bytes_in,
                bytes_out=tunnel.bytes_out,
            )


async def _connect(origin: Origin, seconds: float) -> UpstreamSide:
    async with asyncio.timeout(seconds):
        _, side = await asyncio.get_running_loop().create_connection(
            UpstreamSide, origin.host, origin.port, ssl=_tls() if origin.secure else None
        )
    return side


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _pass_back(upstream: UpstreamSide, head: Head, exchange: Exchange, send: Send) -> None:
    """Send an answer that is no 101 like any other."""
    await send(_start(head, exchange.request, []))
    while piece := await _next_piece(upstream, exchange):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    exchange.body.answered = True
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _next_piece(upstream: UpstreamSide, exchange: Exchange) -> bytes:
    try:
        async with asyncio.timeout(exchange.request.route.read_timeout):
            return await upstream.next_piece()
    except NoAnswer:
        raise UpstreamFailed from None
    except TimeoutError:
        raise UpstreamSlow from None


def _start(head: Head, request: Inbound, more: list[tuple[bytes, bytes]]) -> dict[str, object]:
    changes = request.route.headers.response
    headers = answer_headers(head.headers, head.status, service=False, changes=changes)
    if head.status == _SWITCHED:  # has no body (RFC 9110 §8.6)
        headers = [(name, value) for name, value in headers if name != b"content-length"]
    return {"type": "http.response.start", "status": head.status, "headers": [*headers, *more]}
