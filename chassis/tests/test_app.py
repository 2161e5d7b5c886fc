"""Every request of every deployable: headers, ids, problems, assertion, health."""

import secrets
from collections.abc import Mapping, Sequence

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.app import service_app
from chassis.assertions import HEADER, AssertionSigner, AssertionVerifier
from chassis.clock import SystemClock
from chassis.errors import Conflict
from chassis.health import Health, ops_app
from chassis.http import respond
from chassis.metrics import Metrics
from chassis.middleware import SECURITY_HEADERS, caller_of

KEY = secrets.token_bytes(32)


async def _who(request: Request) -> Response:
    caller = caller_of(request)
    return respond({"issuer": caller.issuer, "agent": caller.user_agent, "id": caller.request_id})


async def _named(request: Request) -> Response:
    return respond({"name": request.path_params["name"]})


async def _plain(_request: Request) -> Response:
    return respond({"name": "plain"})


async def _conflict(_request: Request) -> Response:
    raise Conflict


async def _crash(_request: Request) -> Response:
    raise RuntimeError("secret detail")


def _signer(issuer: str) -> AssertionSigner:
    return AssertionSigner(issuer=issuer, audience="identity", secrets=[KEY], clock=SystemClock())


async def _call(
    method: str,
    target: str,
    *,
    issuer: str = "gateway",
    headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] | None = None,
) -> httpx.Response:
    clock = SystemClock()
    app = service_app(
        routes=[
            Route("/who", _who),
            Route("/who", _who, methods=["PUT"]),
            Route("/things/one", _plain, methods=["PUT"]),
            Route("/things/{name}", _named),
            Route("/things/one", _plain, methods=["GET"]),
            Route("/things/first", _plain, methods=["GET", "PUT"]),
            Route("/internal/v1/who", _who),
            Route("/internal/v1/other", _who),
            Route("/conflict", _conflict),
            Route("/crash", _crash),
        ],
        metrics=Metrics(),
        verifier=AssertionVerifier(
            audience="identity", secrets={"gateway": [KEY], "token": [KEY]}, clock=clock
        ),
        internal={"/internal/v1/who": frozenset({"token"})},
    )
    signed = {HEADER: _signer(issuer).sign(method, target, request_id="rid-from-gateway")}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        return await client.request(
            method, target, headers=signed if headers is None else httpx.Headers(headers)
        )


async def test_the_gateway_is_served() -> None:
    """A signed request reaches its route, with the user agent made printable."""
    clock = SystemClock()
    value = AssertionSigner(issuer="gateway", audience="identity", secrets=[KEY], clock=clock).sign(
        "GET", "/who", request_id="rid-from-gateway"
    )
    response = await _call("GET", "/who", headers={HEADER: value, "user-agent": "curl\t8"})
    assert response.json() == {
        "issuer": "gateway",
        "agent": "curl\ufffd8",
        "id": "rid-from-gateway",
    }


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("Käfer/1 ☃".encode(), "Käfer/1 ☃"),
        ("Käfer/1".encode("latin-1"), "Käfer/1"),
        (b"curl/8", "curl/8"),
        ("Käfer\u2028".encode(), "Käfer\ufffd"),
    ],
)
async def test_a_user_agent_is_read_as_it_was_meant(sent: bytes, read: str) -> None:
    """UTF-8 where it is that, else Latin-1 (RFC 9110 §5.5), and never twice encoded."""
    value = AssertionSigner(
        issuer="gateway", audience="identity", secrets=[KEY], clock=SystemClock()
    ).sign("GET", "/who", request_id="r1")
    response = await _call(
        "GET", "/who", headers=[(b"user-agent", sent), (HEADER.encode(), value.encode())]
    )
    assert response.json()["agent"] == read


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/who", 405, "method_not_allowed"),
        ("TRACE", "/who", 405, "method_not_allowed"),
        ("GET", "/who/", 404, "not_found"),
        ("GET", "/conflict", 409, "conflict"),
        ("GET", "/crash", 500, "internal_error"),
    ],
)
async def test_every_refusal_is_a_problem(method: str, target: str, status: int, code: str) -> None:
    """Unknown paths, wrong methods, named errors and crashes look alike; nothing leaks."""
    response = await _call(method, target)
    assert response.status_code == status
    assert response.json()["code"] == code
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/problem+json; charset=utf-8"
    assert "secret detail" not in response.text


async def test_a_wrong_method_is_told_the_right_ones() -> None:
    """Of every route there is for the path (RFC 9110 §15.5.6)."""
    assert (await _call("DELETE", "/who")).headers["allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", "/things/one", "one"),
        ("PUT", "/things/one", "plain"),
        ("GET", "/things/first", "first"),
        ("PUT", "/things/first", "plain"),
    ],
)
async def test_the_first_route_that_fits_is_taken(method: str, target: str, name: str) -> None:
    """A plain path is no better than a pattern before it, for the methods both have."""
    assert (await _call(method, target)).json() == {"name": name}


@pytest.mark.parametrize("target", ["/who", "/nowhere", "/crash"])
async def test_every_answer_carries_the_security_headers(target: str) -> None:
    """Also errors do."""
    response = await _call("GET", target)
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value


@pytest.mark.parametrize(
    ("target", "issuer", "status"),
    [
        ("/internal/v1/who", "token", 200),
        ("/internal/v1/who", "gateway", 403),
        ("/internal/v1/other", "token", 403),
        ("/internal/v1/other", "gateway", 403),
        ("/who", "token", 403),
    ],
)
async def test_each_path_has_its_callers(target: str, issuer: str, status: int) -> None:
    """Internal paths accept only their named issuer, all others only the gateway."""
    assert (await _call("GET", target, issuer=issuer)).status_code == status


async def test_without_an_assertion_nobody_is_served() -> None:
    """Also headers that pretend an identity change nothing."""
    response = await _call("GET", "/who", headers={"x-auth-subject": "admin"})
    assert (response.status_code, response.json()["code"]) == (401, "assertion_required")


async def _ready(health: Health) -> httpx.Response:
    transport = httpx.ASGITransport(ops_app(health, Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        return await client.get("/health/ready")


async def test_readiness_follows_its_checks_and_the_drain() -> None:
    """Starting, failing checks and draining are told; liveness stays good throughout."""

    async def away() -> None:
        raise ConnectionError

    health = Health()
    assert (await _ready(health)).json()["failing"] == ["starting"]
    health.started = True
    assert (await _ready(health)).status_code == 200
    health.add_check("database", away)
    response = await _ready(health)
    assert (response.status_code, response.json()["failing"]) == (503, ["database"])
    health.draining = True
    assert (await _ready(health)).json()["failing"] == ["draining"]
