"""The client of the few synchronous calls between services (design §2): signed, timed, typed."""

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from chassis.assertions import HEADER, AssertionSigner
from chassis.caller import Caller
from chassis.errors import Unavailable
from chassis.http1.trouble import Trouble
from chassis.logs import get_logger
from chassis.peers import Answer, Peer
from chassis.tracing import continue_trace

_SERVER_ERROR = 500
_CLIENT_ERROR = 400
log = get_logger(__name__)


class DependencyUnavailable(Unavailable):
    """A peer this call depends on did not answer in time, or answered with an error of its own."""

    code = "dependency_unavailable"
    title = "A part of the platform this needs cannot answer right now."


class RemoteProblem(Exception):  # noqa: N818 - it carries the peer's problem
    """The peer refused: its problem details, for the caller to translate."""

    def __init__(self, status: int, document: Mapping[str, Any], retry_after: int | None) -> None:
        super().__init__(f"{status} {document.get('code')}")
        self.status = status
        self.code = str(document.get("code", "unknown"))
        self.document = document
        self.retry_after = retry_after


class InternalClient:
    """Calls one peer over kept-alive connections.

    *timeout* bounds a whole call in seconds. Use as an async context manager.
    """

    def __init__(
        self, base_url: str, signer: AssertionSigner, *, timeout: float = 5.0, connections: int = 20
    ) -> None:
        self._base_url = base_url
        self._signer = signer
        self._timeout = timeout
        self._connections = connections
        self._peer: Peer | None = None

    async def __aenter__(self) -> Self:
        self._peer = Peer(self._base_url, limit=self._connections)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._peer is not None:
            await self._peer.close()

    async def call(
        self,
        method: str,
        target: str,
        *,
        body: Mapping[str, Any] | None = None,
        caller: Caller | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - instead of the client's own
    ) -> dict[str, Any]:
        """Send one request and return the JSON object of its answer (empty for 204).

        Raises RemoteProblem for a refusal (4xx) or a 503 with a reason, DependencyUnavailable
        when the peer is away, slow or broken.
        """
        if self._peer is None:
            raise RuntimeError("InternalClient is used outside its context")
        content = b"" if body is None else json.dumps(body).encode()
        headers = self._headers(method, target, caller)
        try:
            async with asyncio.timeout(timeout or self._timeout):
                return _document(await self._peer.ask(method, target, headers, content))
        except (Trouble, TimeoutError, ValueError) as error:
            log.warning("dependency.failed", target=target, error=type(error).__name__)
            raise DependencyUnavailable(retry_after=1) from error

    def _headers(self, method: str, target: str, caller: Caller | None) -> dict[str, str]:
        request_id = caller.request_id if caller else uuid4().hex
        trace = continue_trace(caller.traceparent if caller else None)
        headers = {
            "Content-Type": "application/json",
            "X-Request-Id": request_id,
            "traceparent": str(trace),
            HEADER: self._signer.sign(
                method,
                target,
                request_id=request_id,
                principal=caller.principal if caller else None,
                client_address=caller.client_address if caller else None,
            ),
        }
        if caller and caller.user_agent:
            headers["User-Agent"] = caller.user_agent
        return headers


def _document(answer: Answer) -> dict[str, Any]:
    document = json.loads(answer.body) if answer.body else {}
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a broken answer, not a broken program
    if answer.status < _CLIENT_ERROR:
        return document
    if answer.status < _SERVER_ERROR or "code" in document:
        retry_after = answer.headers.get("retry-after", "")
        seconds = int(retry_after) if retry_after.isdecimal() else None
        raise RemoteProblem(answer.status, document, seconds)
    raise ValueError(f"answered {answer.status}")
