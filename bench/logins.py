"""Logins per second against what hashing alone allows, and how the others fare meanwhile.

    python -m bench.logins
    python -m bench.logins --rounds 2 --seconds 8
    python -m bench.logins --workers 2 --against ../gatehouse-before
    python -m bench.logins --shape one

Starts five processes with RabbitMQ, Redis and a durable PostgreSQL, or the one of `make run`
(--shape). Each round first hashes passwords for a moment with as many threads as identity's pool
has (--workers, HASH_WORKERS) while the platform is idle: that is the limit. Then logins arrive at
--offered times that rate, whether or not the earlier ones are answered, while others ask for
/users/me, for the keys, and refresh. The figure is logins answered in the time ÷ the limit. Refused
is whatever was not answered with 200: a queue of more than HASH_QUEUE_SECONDS is cut by 503.

One core is left out by default: it is for everything that is not hashing, this load generator, the
broker and the database among it. On a machine with few cores no pool can have them all and the rest
of a login nothing; the CPU time of each part is printed, so that a reader can see who had how much.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from os import getpid
from pathlib import Path

import aiohttp

from bench.cpu import seconds_of, seconds_of_tree
from bench.figures import Table, percentile, verdict
from bench.load import Answers, Client, arriving
from bench.starting import Ground, five_processes, ground, one_process
from chassis.cores import available_cores
from chassis.testing import eventually
from services.identity.hashing.hasher import PasswordHasher
from tests.platforms.crowd import Crowd
from tests.platforms.five import FiveProcesses
from tests.platforms.person import PASSWORD, Person
from tests.platforms.platform import Platform
from tests.platforms.process import ROOT
from tests.platforms.single import SingleProcess

GOAL = 0.85
GOAL_P99_MS = 50
_PEOPLE = 80
# To verify the address, the welcome, the new device.
_MAILS = 3
_MAIL_SECONDS = 60.0
_HASHING_SECONDS = 3.0
# Everybody once: the first login from a new program is told by mail.
_WARM_UP_PER_SECOND = 10.0
_OTHERS_PER_SECOND = 10.0


@dataclass(frozen=True, slots=True)
class Visitors:
    """Who logs in, and who does something else meanwhile."""

    people: Sequence[Person]
    logins: Sequence[Client]
    others: Sequence[Client]


@dataclass(frozen=True, slots=True)
class _Measured:
    """A platform, and the CPU seconds that its parts have used so far."""

    platform: Platform
    seconds: Callable[[], dict[str, float]]


def main() -> None:
    """Measure and print."""
    cores = available_cores()
    parser = argparse.ArgumentParser(
        prog="python -m bench.logins",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of load in a round")
    parser.add_argument(
        "--workers", type=int, default=max(1, cores - 1), help=f"hashing threads (cores: {cores})"
    )
    parser.add_argument(
        "--offered", type=float, default=0.9, help="arrivals as a share of the limit"
    )
    parser.add_argument("--against", type=Path, help="another working tree to compare with")
    parser.add_argument("--shape", choices=("one", "five"), default="five", help="of the platform")
    arguments = parser.parse_args()
    settings = {"HASH_WORKERS": str(arguments.workers), "MAX_SESSIONS_PER_USER": "0"}
    print(f"starting the platform; {arguments.workers} of {cores} cores hash …", flush=True)
    if arguments.shape == "one":
        with one_process(settings) as platform:
            parts = partial(_parts_of_one, platform)
            asyncio.run(_Bench(arguments).run([_Measured(platform, parts)]))
        return
    roots = [ROOT, *([arguments.against] if arguments.against else [])]
    with ground() as standing, five_processes(standing, settings, roots=roots) as platforms:
        measured = [_Measured(each, partial(_parts_of_five, each, standing)) for each in platforms]
        asyncio.run(_Bench(arguments).run(measured))


class _Bench:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._table = Table(
            "limit/s",
            "logins/s",
            "ratio",
            "refused",
            "login p99",
            "me p99",
            "keys p99",
            "refr. p99",
        )
        self._cpu: list[str] = []

    async def run(self, measured: Sequence[_Measured]) -> None:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            )
            visitors = [await self._visitors(stack, http, each.platform) for each in measured]
            for each, own in zip(measured, visitors, strict=True):
                seconds = _PEOPLE / _WARM_UP_PER_SECOND
                await self._load(own, per_second=_WARM_UP_PER_SECOND, seconds=seconds)
                await _mailed(each.platform, own.people)
            for _ in range(self._arguments.rounds):
                for name, each, own in zip(("this", "other"), measured, visitors, strict=False):
                    await self._round(name, each, own)
        self._table.print_medians()
        for line in self._cpu:
            print(line)
        verdict("logins ÷ limit", self._table.median("this", "ratio"), GOAL)
        for column in ("me p99", "keys p99", "refr. p99"):
            value = self._table.median("this", column)
            verdict(f"{column}, ms", value, GOAL_P99_MS, at_most=True)

    async def _visitors(
        self, stack: AsyncExitStack, http: aiohttp.ClientSession, platform: Platform
    ) -> Visitors:
        crowd = await stack.enter_async_context(Crowd(platform))
        people = crowd.bring(_PEOPLE)
        for step in (crowd.register, crowd.verify, crowd.log_in):
            await step(people)
        clients = [
            [Client(http, platform.base_url, one.address, dict(one.tokens)) for one in people]
            for _ in range(2)
        ]
        return Visitors(people, *clients)

    async def _round(self, name: str, measured: _Measured, visitors: Visitors) -> None:
        limit = await asyncio.to_thread(_hashes_per_second, self._arguments.workers)
        before = measured.seconds()
        per_second, seconds = limit * self._arguments.offered, self._arguments.seconds
        logins, *others = await self._load(visitors, per_second=per_second, seconds=seconds)
        after = measured.seconds()
        self._table.add(
            name,
            limit,
            logins.good / seconds,
            logins.good / seconds / limit,
            sum(answers.refused for answers in (logins, *others)),
            *(percentile(answers.seconds, 0.99) * 1000 for answers in (logins, *others)),
        )
        cores = {part: (after[part] - before[part]) / seconds for part in after}
        parts = ", ".join(f"{part} {share:.2f}" for part, share in cores.items())
        self._cpu.append(f"cores in use, {name}: {parts}; together {sum(cores.values()):.2f}")

    async def _load(
        self, visitors: Visitors, *, per_second: float, seconds: float
    ) -> list[Answers]:
        logging_in = cycle(zip(visitors.people, visitors.logins, strict=True))
        looking, refreshing = cycle(visitors.others), cycle(visitors.others)

        async def log_in() -> int:
            person, client = next(logging_in)
            return await client.log_in(person.username, PASSWORD)

        async def look() -> int:
            return await next(looking).get("/api/v1/users/me")

        async def keys() -> int:
            return await next(looking).get("/.well-known/jwks.json")

        async def refresh() -> int:
            return await next(refreshing).refresh()

        return await asyncio.gather(
            arriving(log_in, per_second=per_second, seconds=seconds),
            *(
                arriving(call, per_second=_OTHERS_PER_SECOND, seconds=seconds)
                for call in (look, keys, refresh)
            ),
        )


def _parts_of_five(platform: FiveProcesses, standing: Ground) -> dict[str, float]:
    used = {name: seconds_of(process.pid) for name, process in platform.processes.items()}
    used["postgresql"] = seconds_of_tree(standing.postgres.pid)
    used["this bench"] = seconds_of(getpid())
    return used


def _parts_of_one(platform: SingleProcess) -> dict[str, float]:
    own = seconds_of(platform.process.pid)
    return {
        "the one process": own,
        "postgresql": seconds_of_tree(platform.process.pid) - own,
        "this bench": seconds_of(getpid()),
    }


async def _mailed(platform: Platform, people: Sequence[Person]) -> None:
    """Wait until everybody has had their mails: what notify does then is part of no login."""

    async def told() -> bool:
        received = [await platform.mailbox.mails(person.email) for person in people]
        return all(len(mails) >= _MAILS for mails in received)

    await eventually(told, within=_MAIL_SECONDS)


def _hashes_per_second(threads: int) -> float:
    """Return how many passwords *threads* hash in a second when nobody disturbs them."""
    hasher = PasswordHasher()
    stored = hasher.hash(PASSWORD)
    until = time.perf_counter() + _HASHING_SECONDS

    def work(_: int) -> tuple[int, float]:
        done, began = 0, time.perf_counter()
        while time.perf_counter() < until:
            hasher.verify(stored, PASSWORD)
            done += 1
        return done, time.perf_counter() - began

    with ThreadPoolExecutor(threads) as executor:
        return sum(done / seconds for done, seconds in executor.map(work, range(threads)))


if __name__ == "__main__":
    main()
