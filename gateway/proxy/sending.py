"""Sending a request to one of its upstream's addresses, and once more where that is harmless."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from prometheus_client import Counter

from chassis.errors import Problem
from chassis.http1.connection import Connection
from chassis.http1.connections import Connections
from chassis.http1.head import Headers, head_of
from chassis.http1.names import Origin
from chassis.http1.trouble import CannotConnect, ConnectTimedOut, HungUp, Trouble
from chassis.metrics import Metrics
from gateway.errors import UpstreamFailed, UpstreamSlow, UpstreamUnavailable
from gateway.proxy.addresses import Address, Addresses, Found, note
from gateway.proxy.assertions import Assertions
from gateway.proxy.body import ClientGone
from gateway.proxy.call import Call, Content
from gateway.proxy.exchange import Exchange
from gateway.proxy.headers import OutgoingHeaders
from gateway.proxy.inbound import Inbound

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
# RFC 9110 §8.6: a length of 0 is said where a body could be expected.
_WITH_BODY = frozenset({"PATCH", "POST", "PUT", "QUERY"})


@dataclass(slots=True)
class _Attempts:
    """What was tried so far for one request."""

    exchange: Exchange
    content: Content
    tried: list[Address] = field(default_factory=list)
    on_fresh: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent twice: idempotent, and no body went with it."""
        return self.content is None and self.exchange.request.method in _IDEMPOTENT

    def is_stale(self, error: Exception) -> bool:
        """Say whether the upstream closed a kept connection before it said a word."""
        return isinstance(error, HungUp) and error.stale

    def tells_of_the_upstream(self, error: Exception) -> bool:
        """Say whether the failure is one of the address, for the breaker to count.

        A client that breaks its body off is none, nor is a kept connection that was closed, nor
        an upstream that hangs up while a body still comes: it may not want it.
        """
        if self.exchange.body.failure is not None or self.is_stale(error):
            return False
        streaming = isinstance(self.content, AsyncIterator)
        return not streaming or isinstance(error, TimeoutError | CannotConnect)


class Sender:
    """Opens exchanges."""

    def __init__(
        self,
        connections: Connections,
        *,
        assertions: Assertions,
        headers: OutgoingHeaders,
        metrics: Metrics,
    ) -> None:
        self._connections = connections
        self._assertions = assertions
        self._headers = headers
        self._retries = Counter(
            "gatehouse_gateway_upstream_retries",
            "Requests sent once more, by why: the connection was stale, the address refused.",
            ["upstream", "cause"],
            registry=metrics.registry,
        )

    async def open(self, exchange: Exchange, content: Content, addresses: Addresses) -> Call:
        """Return the call of one of *addresses* as soon as the headers of its answer are there.

        It is the caller's to give back to `close`.

        Raises UpstreamUnavailable, UpstreamLeftAlone, UpstreamFailed, UpstreamSlow, and what broke
        the body off.
        """
        attempts = _Attempts(exchange, content)
        begun = exchange.request.begun
        found = begun.found if begun is not None else addresses.find()
        if found is None:
            raise addresses.refusal()
        while True:
            address, passage = found
            try:
                call = await self._ask(attempts, address)
            except (Trouble, TimeoutError) as error:
                if attempts.tells_of_the_upstream(error):
                    address.breaker.failed(passage)
                again = self._again(attempts, error, found, addresses)
                if again is None:
                    raise explain(error, exchange) from error
                found = again
            else:
                note(call.status, address, passage, own=exchange.request.upstream.service)
                return call

    def close(self, call: Call, request: Inbound) -> None:
        """End *call*; its connection is kept when the next request may follow on it."""
        if call.end():
            self._connections.keep(call.connection, call.origin, request.route.bulkhead)

    def _again(
        self, attempts: _Attempts, error: Exception, found: Found, addresses: Addresses
    ) -> Found | None:
        """Return where the request is sent once more, or None when it is not."""
        if not attempts.repeatable or attempts.exchange.body.failure is not None:
            return None
        again: Found | None = found
        if attempts.is_stale(error):
            attempts.on_fresh = True
            cause = "stale"
        elif isinstance(error, CannotConnect):
            attempts.tried.append(found[0])
            cause, again = "refused", addresses.find(attempts.tried)
        else:
            return None
        if again is not None:
            self._retries.labels(attempts.exchange.request.upstream.name, cause).inc()
        return again

    async def _ask(self, attempts: _Attempts, address: Address) -> Call:
        request, content = attempts.exchange.request, attempts.content
        asked = request.begun.claim() if request.begun is not None else None
        if asked is not None:
            call = Call(asked, attempts.exchange.patience, address.origin)
            await call.answered()
            return call
        head = self._head(request, content, address.origin)
        connection = await self._connection(attempts, address.origin)
        call = Call(connection, attempts.exchange.patience, address.origin)
        await call.ask(
            head,
            content,
            chunked=request.framing.content_length is None,
            bodyless=request.method == "HEAD",
        )
        return call

    async def _connection(self, attempts: _Attempts, origin: Origin) -> Connection:
        request = attempts.exchange.request
        if not attempts.on_fresh:
            kept = self._connections.find(origin, request.route.bulkhead)
            if kept is not None:
                return kept
        return await self._connections.open(origin, within=request.upstream.connect_timeout)

    def _head(self, request: Inbound, content: Content, origin: Origin) -> bytes:
        headers = [(b"host", origin.authority.encode()), *self._headers.build(request)]
        headers += _framing(request, content)
        headers += self._assertions.headers(request)
        return head_of(request.method, request.target, headers)


def _framing(request: Inbound, content: Content) -> Headers:
    """Return what tells the upstream where the request ends."""
    if content is None:
        return [(b"content-length", b"0")] if request.method in _WITH_BODY else []
    length = len(content) if isinstance(content, bytes) else request.framing.content_length
    if length is None:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", b"%d" % length)]


def explain(error: Exception, exchange: Exchange) -> Problem | ClientGone:
    """Return what went wrong, in the caller's terms."""
    if exchange.body.failure is not None:
        return exchange.body.failure
    if isinstance(error, CannotConnect | ConnectTimedOut) and exchange.request.upstream.service:
        return UpstreamUnavailable(retry_after=1)
    if isinstance(error, TimeoutError):
        return UpstreamSlow()
    return UpstreamFailed()
