"""Sending a request to one of its upstream's addresses, and once more where that is harmless."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
from multidict import CIMultiDict
from prometheus_client import Counter
from yarl import URL

from chassis.assertions import HEADER, AssertionSigner
from chassis.errors import Problem
from chassis.metrics import Metrics
from gateway.errors import UpstreamFailed, UpstreamSlow, UpstreamUnavailable
from gateway.proxy.addresses import Address, Addresses, Found
from gateway.proxy.body import ClientGone
from gateway.proxy.breaker import Passage
from gateway.proxy.connections import Connections, was_reused
from gateway.proxy.exchange import Exchange
from gateway.proxy.headers import OutgoingHeaders
from gateway.proxy.inbound import Inbound

Content = AsyncIterator[bytes] | bytes | None

# Said of itself by an upstream, or by a proxy of its own in front of it.
_CANNOT_WORK = frozenset({502, 503, 504})
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_NO_CONNECTION = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError)


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
        if self.on_fresh or not was_reused() or isinstance(error, _NO_CONNECTION):
            return False
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return isinstance(error.message, str)  # else what it had begun to say
        return isinstance(error, aiohttp.ClientOSError)

    def tells_of_the_upstream(self, error: Exception) -> bool:
        """Say whether the failure is one of the address, for the breaker to count.

        A client that breaks its body off is none, nor is a kept connection that was closed, nor
        an upstream that hangs up while a body still comes: it may not want it.
        """
        if self.exchange.body.failure is not None or self.is_stale(error):
            return False
        streaming = isinstance(self.content, AsyncIterator)
        return not streaming or isinstance(error, TimeoutError | aiohttp.ClientConnectorError)


class Sender:
    """Opens exchanges. *signers* hold the assertion secrets of our own services, by name."""

    def __init__(
        self,
        connections: Connections,
        *,
        signers: Mapping[str, AssertionSigner],
        headers: OutgoingHeaders,
        metrics: Metrics,
    ) -> None:
        self._connections = connections
        self._signers = dict(signers)
        self._headers = headers
        self._retries = Counter(
            "gatehouse_gateway_upstream_retries",
            "Requests sent once more, by why: the connection was stale, the address refused.",
            ["upstream", "cause"],
            registry=metrics.registry,
        )

    async def open(
        self, exchange: Exchange, content: Content, addresses: Addresses
    ) -> aiohttp.ClientResponse:
        """Return the answer of one of *addresses* as soon as its headers are there.

        Raises UpstreamUnavailable, UpstreamLeftAlone, UpstreamFailed, UpstreamSlow, and what broke
        the body off.
        """
        attempts = _Attempts(exchange, content)
        found = addresses.find()
        if found is None:
            raise addresses.refusal()
        while True:
            address, passage = found
            try:
                response = await self._ask(attempts, address)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if attempts.tells_of_the_upstream(error):
                    address.breaker.failed(passage)
                again = self._again(attempts, error, found, addresses)
                if again is None:
                    raise explain(error, exchange) from error
                found = again
            else:
                _note(response, address, passage, own=exchange.request.upstream.service)
                return response

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
        elif isinstance(error, aiohttp.ClientConnectorError):
            attempts.tried.append(found[0])
            cause, again = "refused", addresses.find(attempts.tried)
        else:
            return None
        if again is not None:
            self._retries.labels(attempts.exchange.request.upstream.name, cause).inc()
        return again

    async def _ask(self, attempts: _Attempts, address: Address) -> aiohttp.ClientResponse:
        request, connections = attempts.exchange.request, self._connections
        bulkhead = request.route.bulkhead
        session = connections.fresh() if attempts.on_fresh else connections.kept(bulkhead)
        async with attempts.exchange.patience.lasting(extra=request.upstream.connect_timeout):
            response = await session.request(
                request.method,
                URL(address.url + request.target, encoded=True),
                headers=self._signed(request),
                data=attempts.content,
                timeout=aiohttp.ClientTimeout(total=None, connect=request.upstream.connect_timeout),
                allow_redirects=False,
            )
        if response.status < 200:  # noqa: PLR2004 - 101 to a request that asked for no upgrade
            response.close()
            raise aiohttp.ClientError("an answer to no question")
        return response

    def _signed(self, request: Inbound) -> CIMultiDict[str]:
        headers = self._headers.build(request)
        if request.upstream.service:
            headers[HEADER] = self._signers[request.upstream.name].sign(
                request.method,
                request.target,
                request_id=request.state.request_id,
                principal=request.principal,
                client_address=str(request.address),
                proven_sid=request.proven_sid,
            )
        return headers


def explain(error: Exception, exchange: Exchange) -> Problem | ClientGone:
    """Return what went wrong, in the caller's terms."""
    if exchange.body.failure is not None:
        return exchange.body.failure
    if isinstance(error, _NO_CONNECTION) and exchange.request.upstream.service:
        return UpstreamUnavailable(retry_after=1)
    if isinstance(error, TimeoutError):
        return UpstreamSlow()
    return UpstreamFailed()


def _note(
    response: aiohttp.ClientResponse, address: Address, passage: Passage, *, own: bool
) -> None:
    """Tell the breaker of an answer.

    Our own services are alive when they answer: their 503 speaks of one route, such as logins that
    wait for a hash, and must not take the others with it.
    """
    if response.status in _CANNOT_WORK and not own:
        address.breaker.overloaded(passage)
    else:
        address.breaker.answered(passage)
