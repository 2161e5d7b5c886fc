"""Load on a gateway: clients that wait for each answer, and arrivals that wait for nobody."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_OK = 200
Call = Callable[[], Awaitable[int]]


@dataclass(slots=True)
class Answers:
    """What came back: seconds until each good answer, and every status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def good(self) -> int:
        """Return how many were answered with 200."""
        return self.statuses[_OK]

    @property
    def refused(self) -> int:
        """Return how many were answered otherwise."""
        return self.statuses.total() - self.good

    async def ask(self, call: Call) -> None:
        """Make one call and keep what came of it."""
        began = time.perf_counter()
        status = await call()
        self.statuses[status] += 1
        if status == _OK:
            self.seconds.append(time.perf_counter() - began)


@dataclass(slots=True)
class Client:
    """Somebody with an address of their own, and the tokens of one session."""

    http: aiohttp.ClientSession
    base_url: str
    address: str
    tokens: dict[str, Any]

    async def refresh(self) -> int:
        """Exchange the refresh token; return the status."""
        body = {"refresh_token": self.tokens["refresh_token"]}
        return await self._keep("/api/v1/auth/refresh", body)

    async def log_in(self, username: str, password: str) -> int:
        """Log in; return the status."""
        return await self._keep("/api/v1/auth/login", {"username": username, "password": password})

    async def get(self, path: str) -> int:
        """Ask for something with the access token; return the status."""
        headers = {**self._headers, "Authorization": f"Bearer {self.tokens['access_token']}"}
        async with self.http.get(self.base_url + path, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def _keep(self, path: str, body: dict[str, str]) -> int:
        async with self.http.post(self.base_url + path, json=body, headers=self._headers) as answer:
            document = await answer.json(content_type=None)
            if answer.status == _OK:
                self.tokens |= document
            return answer.status

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-Forwarded-For": self.address}


async def closed(calls: Sequence[Call], *, seconds: float) -> Answers:
    """Repeat each of *calls* for *seconds*, the next one after the answer of the last."""
    answers = Answers()
    until = time.perf_counter() + seconds

    async def repeat(call: Call) -> None:
        while time.perf_counter() < until:
            await answers.ask(call)

    await asyncio.gather(*(repeat(call) for call in calls))
    return answers


async def arriving(call: Call, *, per_second: float, seconds: float) -> Answers:
    """Start *per_second* calls each second, whether or not the earlier ones are answered.

    Returns what was answered within *seconds*; what comes later is awaited and not counted.
    """
    answers, late = Answers(), set[asyncio.Task[None]]()
    began = time.perf_counter()
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(answers.ask(call))
        late.add(task)
        task.add_done_callback(late.discard)
    await asyncio.sleep(max(0.0, began + seconds - time.perf_counter()))
    counted = Answers(list(answers.seconds), Counter(answers.statuses))
    await asyncio.gather(*late)
    return counted
