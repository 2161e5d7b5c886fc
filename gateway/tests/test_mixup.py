"""Two users over the same kept connections: nobody ever gets the other's answer."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random  # noqa: TID251 - a fixed seed makes the run repeatable

import pytest

from gateway.tests.corpus.reading import Incomplete, Message, take_answer, take_request
from gateway.tests.scripted import scripted
from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

REQUESTS = 10_000
CONNECTIONS = 16
SECONDS = 60
ROUTES = """
[[upstream]]
name = "shop"
url = "{url}"
breaker_failures = 100000
breaker_ratio = 1

[[route]]
path = "/shop/{{rest...}}"
methods = ["GET", "POST"]
upstream = "shop"
access = "user"
"""
# How a request goes, and how often in a hundred.
KINDS = {
    "get": 45,
    "post": 21,
    "two at once": 10,
    "client leaves, asked": 4,
    "client leaves, sending": 5,
    "client leaves, reading": 5,
    "upstream leaves, asked": 5,
    "upstream leaves, answering": 5,
}


@dataclass(frozen=True)
class Asked:
    """One request, whose it is, and the only answer to it."""

    number: int
    kind: str
    user: Subject
    bearer: str
    body: bytes

    @property
    def target(self) -> str:
        """Return its path; the upstream reads in it what to do."""
        return f"/shop/{self.number}/{self.kind.replace(', ', '-').replace(' ', '-')}"

    @property
    def data(self) -> bytes:
        """Return it as it stands on the wire."""
        method = "POST" if self.body else "GET"
        length = f"Content-Length: {len(self.body)}\r\n" if self.body else ""
        head = f"{method} {self.target} HTTP/1.1\r\nHost: a\r\nAuthorization: {self.bearer}\r\n"
        return f"{head}{length}\r\n".encode() + self.body

    @property
    def expected(self) -> bytes:
        """Return the body of its answer."""
        return answer_to(self.user.id, self.target, self.body)


def answer_to(user: str, target: str, body: bytes) -> bytes:
    """Return what the shop says to a request: between a line and some 13 kB."""
    line = f"{user} {target} {hashlib.sha256(body).hexdigest()}\n".encode()
    return line * (1 + int(target.split("/")[2]) % 100)


async def shop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer who asks for what, over kept connections; leave where the path says so."""
    data = b""
    while piece := await reader.read(65536):
        data += piece
        try:
            while data:
                request, data = take_request(data)
                if not await _answer(request, writer):
                    return
        except Incomplete:
            continue


async def _answer(request: Message, writer: asyncio.StreamWriter) -> bool:
    (user,) = request.values(b"x-auth-subject")
    body = answer_to(user.decode(), request.target, request.body)
    if request.target.endswith("upstream-leaves-asked"):
        return False
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    if request.target.endswith("upstream-leaves-answering"):
        writer.write(body[: len(body) // 2])
        return False
    writer.write(body)
    await writer.drain()
    return True


class Lane:
    """One client connection that both users share, opened anew when it has ended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._kept = b""
        self.outcomes: Counter[str] = Counter()

    async def go(self, plan: list[Asked]) -> None:
        """Ask one after the other, or two at once."""
        waiting = list(reversed(plan))
        while waiting:
            asked = waiting.pop()
            if asked.kind == "two at once" and waiting:
                await self._ask(asked, waiting.pop())
            else:
                await self._ask(asked)
        self._leave()

    async def _ask(self, *requests: Asked) -> None:
        if self._writer is None:
            host, port = self._world.host, self._world.port
            self._reader, self._writer = await asyncio.open_connection(host, port)
        leaves = requests[-1].kind.startswith("client leaves")
        sent = b"".join(asked.data for asked in requests)
        self._writer.write(sent[:-1] if requests[-1].kind.endswith("sending") else sent)
        for asked in requests[:-1] if leaves else requests:
            if not await self._hear(asked):
                return
        if leaves:
            if requests[-1].kind.endswith("reading"):
                await self._take(40)
            self.outcomes["left"] += 1
            self._leave()

    async def _hear(self, asked: Asked) -> bool:
        """Read one answer; say whether the connection goes on."""
        data = await self._take(0)
        while True:
            try:
                answer, rest = take_answer(data)
            except Incomplete:
                more = await self._take(1)
                data += more
                if more:
                    continue
                self.outcomes["broken off"] += 1
                _, _, body = data.partition(b"\r\n\r\n")
                assert asked.expected.startswith(body)
                self._leave()
                return False
            self._check(asked, answer)
            self._kept = rest
            return not answer.says_close or self._leave()

    def _check(self, asked: Asked, answer: Message) -> None:
        self.outcomes[str(answer.status)] += 1
        if answer.status == 200:
            assert answer.body == asked.expected
            return
        assert answer.status == 502
        assert asked.kind.startswith("upstream leaves")
        assert b"bad_gateway" in answer.body

    async def _take(self, least: int) -> bytes:
        """Return what is there already and, if that is nothing, at least something."""
        kept, self._kept = self._kept, b""
        if kept or not least:
            return kept
        assert self._reader is not None
        try:
            async with asyncio.timeout(SECONDS):
                return await self._reader.read(65536)
        except ConnectionError:
            return b""

    def _leave(self) -> bool:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._kept = None, b""
        return False


@asynccontextmanager
async def selling(folder: Path) -> AsyncIterator[World]:
    """Start a gateway before the shop."""
    async with scripted(shop) as url:
        routes = folder / "mixup.toml"
        routes.write_text(ROUTES.format(url=url), encoding="utf-8")
        async with start_world(folder, routes_file=routes) as world:
            yield world


def plan_of(world: World) -> list[Asked]:
    """Return the requests: whose, of which kind and with what body is drawn."""
    users = [Subject(), Subject()]
    bearers = [world.bearer(user)["Authorization"] for user in users]
    chance = Random(7)  # noqa: S311 - not a secret
    plan = []
    for number in range(REQUESTS):
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        who = chance.randrange(2)
        sends = kind in ("post", "client leaves, sending") or chance.random() < 0.1
        body = chance.randbytes(chance.choice((1, 100, 5000))) if sends else b""
        plan.append(Asked(number, kind, users[who], bearers[who], body))
    return plan


async def test_ten_thousand_interleaved_requests_are_never_mixed(tmp_path: Path) -> None:
    """Every answer is that of its request, whoever leaves in the middle of which other."""
    async with selling(tmp_path) as world:
        plan = plan_of(world)
        lanes = [Lane(world) for _ in range(CONNECTIONS)]
        await asyncio.gather(*(lane.go(plan[n::CONNECTIONS]) for n, lane in enumerate(lanes)))
        outcomes = sum((lane.outcomes for lane in lanes), Counter())
    assert sum(outcomes.values()) > REQUESTS * 0.95
    assert outcomes["200"] > REQUESTS * 0.75
    assert all(outcomes[one] > REQUESTS * 0.02 for one in ("left", "502", "broken off"))
