"""Many people at once: what they ask for must work, and what they did must stand in the log."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import httpx

from tests.platforms.person import Person
from tests.platforms.platform import Platform

IN_FLIGHT = 4
NO_LIMITS = {
    f"RATE_LIMIT_{name}": "100000/minute"
    for name in ("LOGIN", "REGISTER", "PER_IP", "PER_USER", "REFRESH", "ACCOUNT", "ADMIN")
}
"""Settings of a platform whose limits nobody meets."""


class Crowd:
    """People of one platform; leaving the block closes their connections."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stack = AsyncExitStack()
        self.calls: Counter[int] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def bring(self, number: int) -> list[Person]:
        """Return that many people who have done nothing yet."""
        people = [self._platform.person() for _ in range(number)]
        for person in people:
            self._stack.push_async_exit(person)
        return people

    async def call(self, step: Callable[[], Awaitable[httpx.Response]]) -> None:
        """Take one step; its status is counted, and it must be a good one."""
        answer = await step()
        self.calls[answer.status_code] += 1
        assert answer.is_success, (answer.request.url.path, answer.status_code, answer.text)

    async def register(self, people: Iterable[Person]) -> None:
        """Have all of them register, a few at a time."""
        await self._each(people, lambda person: self.call(person.register))

    async def verify(self, people: Iterable[Person]) -> None:
        """Have all of them open the mailed link, a few at a time."""
        await self._each(people, lambda person: self.call(person.verify))

    async def log_in(self, people: Iterable[Person]) -> None:
        """Have all of them log in, a few at a time."""
        await self._each(people, lambda person: self.call(person.login))

    async def _each(
        self, people: Iterable[Person], action: Callable[[Person], Awaitable[None]]
    ) -> None:
        waiting = iter(people)

        async def work() -> None:
            for person in waiting:
                await action(person)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


async def entries(admin: Person, type_: str) -> list[dict[str, Any]]:
    """Return every entry of the audit log of one type."""
    path = f"/api/v1/admin/audit/export?format=ndjson&type={type_}"
    answer = await admin.call("GET", path, token=admin.access_token)
    assert answer.is_success, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def recorded(admin: Person, person: Person, *types: str) -> bool:
    """Say whether there is an entry of each type about *person*."""
    path = f"/api/v1/admin/audit?target={person.user_id}&limit=100"
    answer = await admin.call("GET", path, token=admin.access_token)
    found = {item["type"] for item in answer.json()["items"]}
    assert set(types) <= found, set(types) - found
    return True


async def each_once(
    admin: Person, type_: str, people: Sequence[Person], *, times: int | None = None
) -> bool:
    """Check that *people* have *times* entries of a type (else one each), no event twice."""
    ids = {person.user_id for person in people}
    found = [entry for entry in await entries(admin, type_) if entry["subject"] in ids]
    assert len({entry["id"] for entry in found}) == len(found)
    if times is None:
        assert Counter(entry["subject"] for entry in found) == Counter(ids)
    assert len(found) == (len(people) if times is None else times), len(found)
    return True


async def mails(platform: Platform, people: Sequence[Person]) -> Counter[int]:
    """Say how many of *people* have got how many verification mails."""
    return Counter([await _verifications(platform, person) for person in people])


async def _verifications(platform: Platform, person: Person) -> int:
    received = await platform.mailbox.mails(person.email)
    return sum(any("verify-email" in link for link in mail.links) for mail in received)
