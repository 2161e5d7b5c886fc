"""Calls between services: signed, bounded in time, refusals told apart from absence."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.app import Deployable, service_app
from chassis.assertions import AssertionSigner, AssertionVerifier
from chassis.caller import Caller
from chassis.clock import SystemClock
from chassis.errors import Conflict
from chassis.health import Health
from chassis.http import respond
from chassis.internal import DependencyUnavailable, InternalClient, RemoteProblem
from chassis.metrics import Metrics
from chassis.middleware import caller_of
from chassis.processes import free_port
from chassis.server import Serving
from chassis.settings import ProcessSettings

KEY = secrets.token_bytes(32)
CALLER = Caller(
    issuer="gateway",
    client_address="192.0.2.7",
    user_agent="Käfer/8 ☃",
    request_id="request-0001",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


class Taken(Conflict):
    """A refusal of the peer."""

    code = "taken"


class Peer:
    """A service with a few ways to answer."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def who(self, request: Request) -> Response:
        """Say who calls."""
        caller = caller_of(request)
        return respond(
            {
                "issuer": caller.issuer,
                "ip": caller.client_address,
                "agent": caller.user_agent,
                "id": caller.request_id,
                "trace": (caller.traceparent or "").split("-")[1],
            }
        )

    async def taken(self, _request: Request) -> Response:
        """Refuse."""
        raise Taken(retry_after=7)

    async def broken(self, _request: Request) -> Response:
        """Answer what no peer of ours answers."""
        return Response("oops", 500)

    async def large(self, _request: Request) -> Response:
        """Answer in many pieces."""
        return respond({"text": "x" * 3_000_000})

    async def slow(self, _request: Request) -> Response:
        """Answer when it is too late."""
        await self.release.wait()
        return respond({})

    def deployable(self) -> Deployable:
        """Return it, on free ports."""
        metrics = Metrics()
        names = ("who", "taken", "broken", "slow", "large")
        return Deployable(
            name="identity",
            settings=ProcessSettings(port=0, ops_port=0),
            http=service_app(
                routes=[
                    Route(f"/internal/v1/{name}", getattr(self, name), methods=["POST"])
                    for name in names
                ],
                metrics=metrics,
                verifier=AssertionVerifier(
                    audience="identity", secrets={"token": [KEY]}, clock=SystemClock()
                ),
                internal={"/internal/v1/": frozenset({"token"})},
            ),
            lifespan=_nothing,
            health=Health(),
            metrics=metrics,
        )


class _nothing:  # noqa: N801 - used as a function
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture
async def client() -> AsyncIterator[InternalClient]:
    """Return a client of a running peer."""
    peer = Peer()
    serving = Serving([peer.deployable()])
    await serving.start()
    host, port = serving.addresses["identity"]
    async with InternalClient(f"http://{host}:{port}", _signer(), timeout=5) as opened:
        yield opened
    peer.release.set()
    await serving.stop()


def _signer() -> AssertionSigner:
    return AssertionSigner(issuer="token", audience="identity", secrets=[KEY], clock=SystemClock())


async def test_the_callers_context_travels(client: InternalClient) -> None:
    """Address, user agent, request id and trace of the first request are known at the end."""
    answer = await client.call("POST", "/internal/v1/who", body={}, caller=CALLER)
    assert answer == {
        "issuer": "token",
        "ip": "192.0.2.7",
        "agent": "Käfer/8 ☃",
        "id": "request-0001",
        "trace": "0af7651916cd43dd8448eb211c80319c",
    }


async def test_a_refusal_carries_the_peers_code(client: InternalClient) -> None:
    """Status, code and Retry-After are there for the caller to translate."""
    with pytest.raises(RemoteProblem) as caught:
        await client.call("POST", "/internal/v1/taken", body={})
    problem = caught.value
    assert (problem.status, problem.code, problem.retry_after) == (409, "taken", 7)


async def test_a_broken_answer_is_an_absent_peer(client: InternalClient) -> None:
    """Whatever is not ours to read is 503 to the one who asked."""
    with pytest.raises(DependencyUnavailable):
        await client.call("POST", "/internal/v1/broken", body={})


async def test_a_large_answer_is_read_whole(client: InternalClient) -> None:
    """However many pieces it comes in."""
    answer = await client.call("POST", "/internal/v1/large", body={})
    assert len(answer["text"]) == 3_000_000


async def test_a_slow_peer_is_given_up(client: InternalClient) -> None:
    """After the call's own time."""
    with pytest.raises(DependencyUnavailable):
        await client.call("POST", "/internal/v1/slow", body={}, timeout=0.1)


async def test_an_absent_peer_is_named() -> None:
    """Nobody listens."""
    async with InternalClient(f"http://127.0.0.1:{free_port()}", _signer()) as client:
        with pytest.raises(DependencyUnavailable) as caught:
            await client.call("POST", "/internal/v1/who", body={})
    assert caught.value.retry_after == 1
