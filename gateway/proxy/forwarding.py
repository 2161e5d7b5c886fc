"""The exchange with an upstream: open, stream, and end it when either side leaves."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from prometheus_client import Counter
from starlette.types import Receive, Send
from yarl import URL

from chassis.assertions import HEADER, AssertionSigner
from chassis.errors import Problem
from chassis.logs import get_logger
from chassis.metrics import Metrics
from gateway.errors import UpstreamFailed, UpstreamSlow, UpstreamUnavailable
from gateway.proxy.body import ClientGone, Patience, RequestBody
from gateway.proxy.headers import OutgoingHeaders, answer_headers
from gateway.proxy.inbound import Inbound

_CONNECTIONS_PER_UPSTREAM = 200
# Below the idle time of common servers: a request on a connection they close is lost.
_KEEP_ALIVE_SECONDS = 4.0
_WRITE_SECONDS = 60.0
_HEADER_BYTES = 32 * 1024
# aiohttp would add these of its own where the client sent none.
_NOT_OURS_TO_ADD = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
CLIENT_CLOSED = "client_closed_request"

Content = AsyncIterator[bytes] | bytes | None
log = get_logger(__name__)


class Proxy:
    """Forwards requests over kept-alive connections. Use as an async context manager.

    *signers* hold the assertion secrets of our own services, by name.
    """

    def __init__(
        self,
        *,
        signers: Mapping[str, AssertionSigner],
        headers: OutgoingHeaders,
        metrics: Metrics,
    ) -> None:
        self._signers = dict(signers)
        self._headers = headers
        self._sessions: dict[str | None, aiohttp.ClientSession] | None = None
        self._failures = Counter(
            "gatehouse_gateway_upstream_failures",
            "Requests an upstream did not answer, by what went wrong.",
            ["upstream", "code"],
            registry=metrics.registry,
        )

    async def __aenter__(self) -> Self:
        self._sessions = {}
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sessions, self._sessions = self._sessions, None
        for session in (sessions or {}).values():
            await session.close()

    async def forward(self, request: Inbound, receive: Receive, send: Send) -> None:
        """Pass *request* on and its answer back.

        Raises PayloadTooLarge, RequestTimeout, and what went wrong upstream: UpstreamUnavailable,
        UpstreamFailed, UpstreamSlow. A client that leaves ends the exchange quietly.
        """
        request.check_length()
        patience = Patience(request.route.read_timeout)
        body = RequestBody(receive, limit=request.route.body_limit, patience=patience)
        try:
            async with asyncio.timeout(None) as leash:
                watch = asyncio.create_task(body.watch(leash))
                try:
                    await self._within_total(request, body, patience, send)
                finally:
                    watch.cancel()
        except ClientGone:
            request.state.problem_code = CLIENT_CLOSED
        except TimeoutError:
            if not leash.expired():
                raise
            request.state.problem_code = CLIENT_CLOSED
        except (UpstreamUnavailable, UpstreamFailed, UpstreamSlow) as problem:
            self._failures.labels(request.upstream.name, problem.code).inc()
            request.state.problem_code = problem.code
            raise

    async def _within_total(
        self, request: Inbound, body: RequestBody, patience: Patience, send: Send
    ) -> None:
        """Exchange within the route's time for all of it. Raises UpstreamSlow."""
        try:
            async with asyncio.timeout(request.route.total_timeout):
                await self._exchange(request, body, patience, send)
        except TimeoutError:
            raise UpstreamSlow from None

    async def _exchange(
        self, request: Inbound, body: RequestBody, patience: Patience, send: Send
    ) -> None:
        content = await _content(request, body)
        response = await self._open(request, content, body, patience)
        try:
            headers = answer_headers(
                response.raw_headers,
                response.status,
                service=request.upstream.service,
                changes=request.route.headers.response,
            )
            await _send(send, {"status": response.status, "headers": headers}, "start")
            while piece := await _next_piece(response, request, body, patience):
                await _send(send, {"body": piece, "more_body": True}, "body")
            body.answered = True
            await _send(send, {"body": b"", "more_body": False}, "body")
        finally:
            # Gives the connection back when the answer was read whole, else closes it.
            response.release()

    async def _open(
        self, request: Inbound, content: Content, body: RequestBody, patience: Patience
    ) -> aiohttp.ClientResponse:
        try:
            async with patience.lasting(extra=request.upstream.connect_timeout):
                response = await self._request(request, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _explain(error, request, body) from error
        if response.status < 200:  # noqa: PLR2004 - 101 to a request that asked for no upgrade
            response.close()
            raise UpstreamFailed
        return response

    async def _request(self, request: Inbound, content: Content) -> aiohttp.ClientResponse:
        return await self._session(request.route.bulkhead).request(
            request.method,
            URL(request.upstream.url + request.target, encoded=True),
            headers=self._signed(request),
            data=content,
            timeout=aiohttp.ClientTimeout(total=None, connect=request.upstream.connect_timeout),
            allow_redirects=False,
        )

    def _session(self, bulkhead: str | None) -> aiohttp.ClientSession:
        """Return the connections of a bulkhead, those of everybody else for None."""
        if self._sessions is None:
            raise RuntimeError("Proxy is used outside its context")
        if bulkhead not in self._sessions:
            self._sessions[bulkhead] = _connections()
        return self._sessions[bulkhead]

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


def _connections() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            limit_per_host=_CONNECTIONS_PER_UPSTREAM,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=_NOT_OURS_TO_ADD,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
    )


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


async def _next_piece(
    response: aiohttp.ClientResponse, request: Inbound, body: RequestBody, patience: Patience
) -> bytes:
    """Return the next piece of the answer's body, empty at its end."""
    try:
        async with patience.lasting():
            return await response.content.readany()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        log.warning("answer.broken_off", upstream=request.upstream.name)
        raise _explain(error, request, body) from error


async def _send(send: Send, message: dict[str, object], part: str) -> None:
    """Send one message; a client that reads nothing for a minute has left."""
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await send({"type": f"http.response.{part}", **message})
    except TimeoutError:
        raise ClientGone from None


def _explain(error: Exception, request: Inbound, body: RequestBody) -> Problem | ClientGone:
    """Return what went wrong, in the caller's terms."""
    if body.failure is not None:
        return body.failure
    own = request.upstream.service
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError) and own:
        return UpstreamUnavailable(retry_after=1)
    if isinstance(error, TimeoutError):
        return UpstreamSlow()
    return UpstreamFailed()
