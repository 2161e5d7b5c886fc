"""Imports: lines come in and results go out at the same time, in bounded memory.

Reading never waits for the client to read: one that sends everything first would else wait for
us while we wait for it. What is said of the lines is kept meanwhile, and they are limited.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chassis.caller import Principal
from chassis.errors import PayloadTooLarge, Problem, RequestTimeout, UnsupportedMediaType
from chassis.logs import get_logger
from chassis.middleware import caller_of
from services.identity.domain.imports import MAX_BYTES, MAX_LINES, Entry, Outcome, lines_of
from services.identity.routes.principals import principal_of
from services.identity.schemas import read_line, write_end, write_result
from services.identity.service.importing import Importing
from services.identity.service.use_cases import UseCases

NDJSON = "application/x-ndjson"

_BATCH = 100
_IDLE_SECONDS = 60.0
log = get_logger(__name__)


def routes(service: UseCases) -> list[Route]:
    """Return the route of imports."""

    async def import_users(request: Request) -> Response:
        principal = principal_of(request)
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != NDJSON:
            raise UnsupportedMediaType(f"Send {NDJSON}.")
        await service.importing.begin(principal)
        return _Answer(_Import(request, principal, service.importing))

    return [Route("/api/v1/admin/users/import", import_users, methods=["POST"])]


class _Import:
    """One run: reads the request, and puts what is to be answered where `results` takes it."""

    def __init__(self, request: Request, principal: Principal, importing: Importing) -> None:
        self._request = request
        self._principal = principal
        self._importing = importing
        self._is_open = True
        self._counts: Counter[str] = Counter()
        self._results: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def results(self) -> AsyncIterator[bytes]:
        """Yield the lines of the answer as they come."""
        while (line := await self._results.get()) is not None:
            yield line

    async def run(self) -> None:
        """Import until the last line, or until something is in the way."""
        try:
            code = await self._read()
        except ClientDisconnect:
            code = "client_disconnected"
        except Problem as problem:
            code = problem.code
        finally:
            self.close()
        log.info("users.imported", reason=code, **self._counts)
        self._results.put_nowait(write_end(self._counts, code))
        self._results.put_nowait(None)

    async def _read(self) -> str | None:
        """Import line by line; return why it stopped before the last one."""
        batch: list[Entry] = []
        number = 0
        async for text in lines_of(self._pieces()):
            number += 1
            if number > MAX_LINES:
                await self._store(batch)
                return "too_many_lines"
            if text is not None and not text.strip():
                continue
            found = read_line(number, text)
            if isinstance(found, Outcome):
                self._tell(found)
                continue
            batch.append(found)
            if len(batch) == _BATCH:
                await self._store(batch)
                batch = []
        await self._store(batch)
        return None

    async def _pieces(self) -> AsyncIterator[bytes]:
        size = 0
        stream = aiter(self._request.stream())
        while (piece := await _next_of(stream)) is not None:
            size += len(piece)
            if size > MAX_BYTES:
                raise PayloadTooLarge
            yield piece

    async def _store(self, batch: list[Entry]) -> None:
        if not batch:
            return
        caller = caller_of(self._request)
        for outcome in await self._importing.add(self._principal, batch, caller=caller):
            self._tell(outcome)

    def close(self) -> None:
        """Let the next import begin; once, or it would be the next one's turn that ends."""
        if self._is_open:
            self._is_open = False
            self._importing.end()

    def _tell(self, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        self._results.put_nowait(write_result(outcome))


async def _next_of(stream: AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece, None at the end. Raises RequestTimeout after a minute of nothing."""
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            return await anext(stream, None)
    except TimeoutError:
        raise RequestTimeout from None


class _Answer(Response):
    """Streams results while the request is still arriving; Starlette's own would read it away."""

    def __init__(self, run: _Import) -> None:
        super().__init__(media_type=NDJSON)
        self._run = run
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; the import ends with the answer, and the answer with the import."""
        del scope, receive
        try:
            await self._send(send)
        finally:
            # A task that is cancelled before its first step never gets to its own.
            self._run.close()

    async def _send(self, send: Send) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run.run())
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            async for line in self._run.results():
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
