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
from pathlib import Path

import aiohttp

from bench.figures import Table, verdict
from bench.load import Client
from bench.rounds import COLUMNS, Meter
from bench.starting import Ground, five_processes, ground
from tests.platforms.crowd import Crowd
from tests.platforms.five import FiveProcesses
from tests.platforms.process import ROOT

GOAL = 800
_WARM_UP_SECONDS = 2.0


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
        self._table = Table(*COLUMNS)

    async def run(self, platforms: Sequence[FiveProcesses]) -> None:
        meters = [Meter(self._standing, platform) for platform in platforms]
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            clients = [await self._clients(stack, http, platform) for platform in platforms]
            for meter, own in zip(meters, clients, strict=True):
                meter.leave_alone()
                await meter.load([client.refresh for client in own], seconds=_WARM_UP_SECONDS)
            for _ in range(self._arguments.rounds):
                for name, meter, own in zip(("this", "other"), meters, clients, strict=False):
                    calls = [client.refresh for client in own]
                    measured = await meter.load(calls, seconds=self._arguments.seconds)
                    self._table.add(name, *measured.figures)
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


if __name__ == "__main__":
    main()
