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

import aiohttp

from bench.command_line import parser, trees
from bench.figures import verdict
from bench.load import Client
from bench.rounds import Meter, in_turn, per_core_second
from bench.starting import Ground, five_processes, ground
from tests.platforms.crowd import Crowd
from tests.platforms.five import FiveProcesses

GOAL = 800


def main() -> None:
    """Measure and print."""
    told = parser("bench.refresh", __doc__)
    told.add_argument("--clients", type=int, default=16, help="sessions refreshing at once")
    arguments = told.parse_args()
    print("starting the platform …", flush=True)
    with ground() as standing, five_processes(standing, roots=trees(arguments)) as platforms:
        asyncio.run(_run(standing, platforms, arguments))


async def _run(
    standing: Ground, platforms: Sequence[FiveProcesses], arguments: argparse.Namespace
) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        loads = {}
        for name, platform in zip(("this", "other"), platforms, strict=False):
            clients = await _clients(stack, http, platform, arguments.clients)
            loads[name] = Meter(standing, platform), [client.refresh for client in clients]
        rounds = await in_turn(loads, arguments)
    verdict("refreshes per core-second", per_core_second(rounds, "this"), GOAL)


async def _clients(
    stack: AsyncExitStack, http: aiohttp.ClientSession, platform: FiveProcesses, number: int
) -> list[Client]:
    crowd = await stack.enter_async_context(Crowd(platform))
    people = crowd.bring(number)
    for step in (crowd.register, crowd.verify, crowd.log_in):
        await step(people)
    return [Client(http, platform.base_url, one.address, one.tokens) for one in people]


if __name__ == "__main__":
    main()
