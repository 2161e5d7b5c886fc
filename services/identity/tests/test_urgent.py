"""Urgent changes reach token over HTTP, signed, until it has acknowledged them (D25)."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from aiohttp import web

from chassis.assertions import HEADER, AssertionVerifier
from chassis.testing import FixedClock, eventually
from contracts.envelope import CloudEvent
from contracts.identity import PasswordReset
from contracts.internal import SUBJECT_CHANGES_PATH
from services.identity.tests.configuration import NEW_PASSWORD, TO_TOKEN_SECRET
from services.identity.tests.kit import World

Worlds = Callable[..., AbstractAsyncContextManager[World]]


class TokenStandIn:
    """Takes subject changes as token does; refuses the first *failures* of them."""

    def __init__(self, clock: FixedClock, failures: int) -> None:
        self.taken: list[CloudEvent] = []
        self.failures = failures
        self._verifier = AssertionVerifier(
            audience="token", secrets={"identity": [TO_TOKEN_SECRET]}, clock=clock
        )

    async def take(self, request: web.Request) -> web.Response:
        """Verify, then take or refuse one event."""
        assertion = self._verifier.verify(request.headers.get(HEADER), "POST", request.path)
        assert assertion.issuer == "identity"
        if self.failures:
            self.failures -= 1
            return web.Response(status=500)
        self.taken.append(CloudEvent.from_json(await request.read()))
        return web.json_response({})


@asynccontextmanager
async def serving(token: TokenStandIn) -> AsyncIterator[str]:
    """Serve *token* on a free port for the length of a block."""
    app = web.Application()
    app.router.add_post(SUBJECT_CHANGES_PATH, token.take)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await runner.cleanup()


class TestUrgentPush:
    """Beside the broker, not behind it."""

    async def test_a_reset_is_pushed_until_it_is_taken(
        self, worlds: Worlds, clock: FixedClock
    ) -> None:
        """Token fails twice, then has the event once; plain events are not pushed."""
        token = TokenStandIn(clock, failures=2)
        async with serving(token) as url, worlds(token_url=url) as world:
            ada = await world.register()
            body: dict[str, Any] = {
                "token": await world.reset_token(ada.email),
                "new_password": NEW_PASSWORD,
            }
            await world.post("/api/v1/auth/password-reset/verify", body)
            await eventually(lambda: token.taken)
            unpushed = "SELECT count(*) FROM outbox WHERE urgent AND pushed_at IS NULL"

            async def acknowledged() -> bool:
                return bool(await world.value(unpushed) == 0)

            await eventually(acknowledged)
            [event] = token.taken
            assert (event.type, event.subject) == (PasswordReset.type, str(ada.id))
            assert event.subjectversion == 3
