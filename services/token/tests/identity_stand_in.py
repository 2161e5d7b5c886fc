"""A stand-in for identity: token's two questions, answered on a real port."""

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.assertions import HEADER, AssertionVerifier
from chassis.clock import Clock
from chassis.middleware import target_of

TO_IDENTITY_SECRET = b"token to identity token to identity"


@dataclass(slots=True)
class Account:
    """A user of the stand-in."""

    password: str = "Correct-Horse-1"
    user_id: UUID = field(default_factory=uuid4)
    roles: tuple[str, ...] = ("user",)
    status: str = "active"
    version: int = 1


class IdentityStandIn:
    """Answers token's two questions on a real port, as identity does.

    While `gate` is not set, an answer to `authenticate` is made but held back. `refusal` is what
    it says instead of authenticating; `away` has it break every connection's request with 500.
    """

    def __init__(self, clock: Clock) -> None:
        self.accounts: dict[str, Account] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.refusal: tuple[int, dict[str, Any], dict[str, str]] | None = None
        self.away = False
        self.requests: list[dict[str, Any]] = []
        self.subject_requests = 0
        self._clock = clock
        self._verifier = AssertionVerifier(
            audience="identity", secrets={"token": [TO_IDENTITY_SECRET]}, clock=clock
        )
        self.app = Starlette(
            routes=[
                Route("/internal/v1/authenticate", self._authenticate, methods=["POST"]),
                Route("/internal/v1/subjects/{user_id}", self._subject),
            ]
        )

    def register(self, username: str = "ada", **facts: Any) -> Account:
        """Add a user."""
        self.accounts[username] = Account(**facts)
        return self.accounts[username]

    async def _authenticate(self, request: Request) -> Response:
        self._verify(request)
        body = await request.json()
        self.requests.append(body)
        if self.away:
            return Response(status_code=500)
        if self.refusal:
            status, document, headers = self.refusal
            return JSONResponse(document, status, headers=headers)
        account = self.accounts.get(body["username"])
        if account is None or account.password != body["password"]:
            problem = {"code": "invalid_credentials", "title": "No.", "status": 401}
            return JSONResponse(problem, 401)
        answer = self._answer(account) | {
            "amr": ["pwd"],
            "authenticated_at": self._clock.now().isoformat(),
            "device_token": body["device_token"] or f"device-{account.user_id}",
        }
        self.asked.set()
        await self.gate.wait()
        return JSONResponse(answer)

    async def _subject(self, request: Request) -> Response:
        self._verify(request)
        self.subject_requests += 1
        if self.away:
            return Response(status_code=500)
        user_id = UUID(request.path_params["user_id"])
        known = [account for account in self.accounts.values() if account.user_id == user_id]
        if not known:
            return JSONResponse({"code": "not_found", "title": "?", "status": 404}, 404)
        return JSONResponse(self._answer(known[0]))

    def _answer(self, account: Account) -> dict[str, Any]:
        return {
            "user_id": str(account.user_id),
            "roles": list(account.roles),
            "status": account.status,
            "version": account.version,
        }

    def _verify(self, request: Request) -> None:
        value = request.headers.get(HEADER)
        assertion = self._verifier.verify(value, request.method, target_of(request.scope))
        assert assertion.issuer == "token"


class _Server(uvicorn.Server):
    """A server that is stopped by a word, not found stopped by the next look at a flag."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.done = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until `done` is set."""
        await self.done.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to pytest."""
        yield


@asynccontextmanager
async def serve(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI app on a free port; give its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = _Server(
        uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none")
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.done.set()
        await task
        listening.close()
