"""What wraps every request of every deployable: trace, log line, metrics, headers, last resort."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import urandom

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.access_line import AccessLines, Answered
from chassis.assertions import HEADER, AssertionRequired, AssertionVerifier
from chassis.caller import Caller
from chassis.errors import Forbidden, Problem, ServerError
from chassis.http import problem_response
from chassis.logs import Bound, get_logger, writes
from chassis.metrics import Metrics
from chassis.tracing import TraceContext, continue_trace

SECURITY_HEADERS: Mapping[str, str] = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Added to every answer that does not set them itself."""

RawHeaders = Sequence[tuple[bytes, bytes]]


def raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    """Return *headers* as they stand in an ASGI message."""
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


OWN_HEADERS = raw_headers(SECURITY_HEADERS)
"""What an answer of our own gets."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_CLIENT_ERROR = 400
_POLLED = ("/internal/v1/revocations", "/internal/v1/ip-blocks", "/.well-known/")
log = get_logger("chassis.access")
_lines = AccessLines()


@dataclass(slots=True)
class RequestState:
    """What the platform knows about one request while it is served."""

    request_id: str
    trace: TraceContext
    caller: Caller | None = None
    problem_code: str | None = None
    headers: RawHeaders = OWN_HEADERS
    """What the answer gets unless it says it itself; fewer for a foreign service's answers."""
    began: float = field(default_factory=time.perf_counter)
    """When the request arrived, by the clock of `time.perf_counter`."""

    @property
    def names(self) -> Mapping[str, str]:
        """Return what every log line about the request carries."""
        return {"request_id": self.request_id, "trace_id": self.trace.trace_id}


def state_of(scope: Scope) -> RequestState:
    """Return the state RequestMiddleware put there."""
    state: RequestState = scope["gatehouse"]
    return state


def caller_of(request: Request) -> Caller:
    """Return on whose behalf *request* is served. Raises AssertionRequired without one."""
    caller = state_of(request.scope).caller
    if caller is None:
        raise AssertionRequired
    return caller


async def answer(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Send *problem* as the answer to the request of *scope*."""
    state = state_of(scope)
    state.problem_code = problem.code
    response = problem_response(problem, request_id=state.request_id)
    if scope["method"] == "HEAD":
        response.body = b""
    await response(scope, receive, send)


class RequestMiddleware:
    """The outermost layer: request id, trace, access log, metrics, headers, error boundary.

    *trust_request_id* is for services behind the gateway: they continue its `X-Request-Id`.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, trust_request_id: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._trust_request_id = trust_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # It is there already for a request that did not begin here (`gateway.fast_path`).
        state = scope["gatehouse"] = scope.get("gatehouse") or self._state(scope["headers"])
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = _complete(message.get("headers", ()), state)
            await send(message)

        with Bound(state.names):
            self._metrics.in_flight += 1
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:
                problem = error if isinstance(error, Problem) else ServerError()
                if not isinstance(error, Problem):
                    log.exception("request.crashed", path=scope["path"])
                if status == 0:
                    await answer(problem, scope, receive, send_with_headers)
            finally:
                self._metrics.in_flight -= 1
                route = getattr(scope.get("route"), "path", "unmatched")
                record(self._metrics, state, scope["method"], route, status)

    def _state(self, headers: RawHeaders) -> RequestState:
        given = traceparent = ""
        for name, value in headers:
            if name == b"traceparent":
                traceparent = traceparent or value.decode("latin-1")
            elif name == b"x-request-id" and self._trust_request_id:
                given = given or value.decode("latin-1")
        return RequestState(
            request_id=given if _REQUEST_ID.fullmatch(given) else urandom(16).hex(),
            trace=continue_trace(traceparent),
        )


class AssertionMiddleware:
    """Lets only our own deployables in, each only where it has business (D13).

    *internal* names the issuers of each path prefix; every other path is the gateway's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        verifier: AssertionVerifier,
        internal: Mapping[str, frozenset[str]],
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._internal = dict(internal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Verify the assertion, or refuse with 401 or 403."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        assertion = self._verifier.verify(headers.get(HEADER), scope["method"], target_of(scope))
        if assertion.issuer not in self._issuers(scope["path"]):
            raise Forbidden
        state = state_of(scope)
        state.caller = Caller(
            issuer=assertion.issuer,
            principal=assertion.principal,
            client_address=assertion.client_address,
            user_agent=_text(headers.get("user-agent")),
            request_id=assertion.request_id,
            traceparent=str(state.trace),
            proven_sid=assertion.proven_sid,
        )
        await self._app(scope, receive, send)

    def _issuers(self, path: str) -> frozenset[str]:
        for prefix, issuers in self._internal.items():
            if path.startswith(prefix):
                return issuers
        return frozenset() if path.startswith("/internal/") else frozenset({"gateway"})


def record(metrics: Metrics, state: RequestState, method: str, route: str, status: int) -> None:
    """Count a request that is over and write its line; 0 is the status of one without an answer."""
    seconds = time.perf_counter() - state.began
    metrics.answered(method, route, status, seconds=seconds)
    if state.problem_code:
        metrics.problems.labels(state.problem_code).inc()
    level = _level(route, status)
    if writes(level):
        request_id, trace_id, reason = state.request_id, state.trace.trace_id, state.problem_code
        took = round(seconds * 1000, 1)
        _lines.write(Answered(request_id, trace_id, method, route, status, took, reason), level)


def _level(route: str, status: int) -> str:
    """Choose the level of an access line: what peers poll every moment is for debugging."""
    if status >= _CLIENT_ERROR:
        return "warning"
    return "debug" if route.startswith(_POLLED) else "info"


def target_of(scope: Scope) -> str:
    """Return the request target as it stands on the wire: raw path and query."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    target = raw.partition(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{target}?{query}" if query else target


def _complete(headers: RawHeaders, state: RequestState) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with what every one gets."""
    complete, said = [], set()
    for name, value in headers:
        said.add(name.lower())
        if name == b"content-type" and value.endswith(b"json"):
            complete.append((name, value + b"; charset=utf-8"))
        elif name != b"x-request-id":
            complete.append((name, value))
    for header in state.headers:
        if header[0] not in said:
            complete.append(header)  # noqa: PERF401 - a loop is less than what makes a list
    complete.append((b"x-request-id", state.request_id.encode()))
    return complete


def _text(value: str | None) -> str | None:
    """Return a header as its sender meant it: Starlette reads as Latin-1 what is mostly UTF-8."""
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value
