"""Refreshes per core-second of token and PostgreSQL together.

    python -m bench.refresh
    python -m bench.refresh --rounds 3 --seconds 5 --clients 8
    python -m bench.refresh --against ../gatehouse-before     # two working trees, round by round

Starts five processes with RabbitMQ, Redis and a durable PostgreSQL, logs --clients users in and
lets each refresh again and again through the gateway. Counted is the CPU time of the token process
(its relay included, until its outbox is empty) and of the whole PostgreSQL; audit and notify are
stopped meanwhile, so that nobody else's statements are in it. The other processes, the broker and
this load generator have the rest of the machine, and are not counted.
"""

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg

from bench.cpu import seconds_of, seconds_of_tree
from bench.figures import Table, percentile, verdict
from bench.load import Answers, Client, closed
from bench.starting import Ground, five_processes, ground
from chassis.testing import eventually
from tests.platforms.crowd import Crowd
from tests.platforms.five import FiveProcesses
from tests.platforms.process import ROOT

GOAL = 500
_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of one round."""

    token: float
    postgres: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.refresh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of load in a round")
    parser.add_argument("--clients", type=int, default=16, help="sessions refreshing at once")
    parser.add_argument("--against", type=Path, help="another working tree to compare with")
    arguments = parser.parse_args()
    roots = [ROOT, *([arguments.against] if arguments.against else [])]
    print("starting the platform …", flush=True)
    with ground() as standing, five_processes(standing, roots=roots) as platforms:
        asyncio.run(_Bench(standing, arguments).run(platforms))


class _Bench:
    def __init__(self, standing: Ground, arguments: argparse.Namespace) -> None:
        self._standing = standing
        self._arguments = arguments
        self._table = Table(
            "refreshes", "per second", "p50 ms", "p99 ms", "token us", "pg us", "per core-s"
        )

    async def run(self, platforms: Sequence[FiveProcesses]) -> None:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            clients = [await self._clients(stack, http, platform) for platform in platforms]
            for platform in platforms:
                for name in ("audit", "notify"):
                    platform.processes[name].stop()
            for platform, own in zip(platforms, clients, strict=True):
                await closed([client.refresh for client in own], seconds=_WARM_UP_SECONDS)
                await self._drained(platform)
            for _ in range(self._arguments.rounds):
                for name, platform, own in zip(("this", "other"), platforms, clients, strict=False):
                    await self._round(name, platform, own)
        self._table.print_medians()
        verdict("refreshes per core-second", self._table.median("this", "per core-s"), GOAL)

    async def _clients(
        self, stack: AsyncExitStack, http: aiohttp.ClientSession, platform: FiveProcesses
    ) -> list[Client]:
        crowd = await stack.enter_async_context(Crowd(platform))
        people = crowd.bring(self._arguments.clients)
        for step in (crowd.register, crowd.verify, crowd.log_in):
            await step(people)
        return [Client(http, platform.base_url, one.address, one.tokens) for one in people]

    async def _round(self, name: str, platform: FiveProcesses, clients: Sequence[Client]) -> None:
        before = self._cost(platform)
        answers = await closed(
            [client.refresh for client in clients], seconds=self._arguments.seconds
        )
        await self._drained(platform)
        after = self._cost(platform)
        if set(answers.statuses) != {200}:
            raise SystemExit(f"not every refresh worked: {dict(answers.statuses)}")
        self._add(name, answers, Cost(after.token - before.token, after.postgres - before.postgres))

    def _add(self, name: str, answers: Answers, cost: Cost) -> None:
        self._table.add(
            name,
            answers.good,
            answers.good / self._arguments.seconds,
            percentile(answers.seconds, 0.5) * 1000,
            percentile(answers.seconds, 0.99) * 1000,
            cost.token / answers.good * 1e6,
            cost.postgres / answers.good * 1e6,
            answers.good / (cost.token + cost.postgres),
        )

    def _cost(self, platform: FiveProcesses) -> Cost:
        return Cost(
            seconds_of(platform.processes["token"].pid),
            seconds_of_tree(self._standing.postgres.pid),
        )

    async def _drained(self, platform: FiveProcesses) -> None:
        """Wait until token has told everything it had to tell."""
        url = urlsplit(self._standing.postgres.admin_url)._replace(path=platform.database("token"))
        connection = await asyncpg.connect(urlunsplit(url))
        waiting = "SELECT NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)"
        try:
            await eventually(lambda: connection.fetchval(waiting), within=60)
        finally:
            await connection.close()


if __name__ == "__main__":
    main()
