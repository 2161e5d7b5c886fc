"""What token holds while it is at work, up to a hundred thousand refreshes.

    python -m bench.token_memory
    python -m bench.token_memory --refreshes 10000 --clients 64
    python -m bench.token_memory --against ../gatehouse-before      # two working trees, in turn

Starts five processes with RabbitMQ, Redis and a durable PostgreSQL; in identity's place a stand-in
answers at once (bench.identity_at_once). Sessions refresh through the gateway, and after every
tenth part of --refreshes the token process is read: its resident (RSS) and proportional (PSS) set,
and the largest RSS it has had since its start, for which the goal is. Some minutes.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from uuid import uuid4

import aiohttp

from bench.command_line import parser, trees
from bench.cpu import memory_of, peak_of
from bench.figures import Table, verdict
from bench.identity_at_once import MODULES
from bench.load import Client
from bench.rounds import Meter
from bench.starting import Ground, five_processes, ground
from tests.platforms.five import FiveProcesses

GOAL_MIB = 110
_MIB = 1024 * 1024
_PARTS = 10
_OK = 200


def main() -> None:
    """Measure and print."""
    told = parser("bench.token_memory", __doc__, in_rounds=False)
    told.add_argument("--refreshes", type=int, default=100_000)
    told.add_argument("--clients", type=int, default=16, help="sessions refreshing at once")
    arguments = told.parse_args()
    print("starting the platform …", flush=True)
    with (
        ground() as standing,
        five_processes(standing, roots=trees(arguments), modules=MODULES) as platforms,
    ):
        asyncio.run(_run(standing, platforms, arguments))


async def _run(
    standing: Ground, platforms: Sequence[FiveProcesses], arguments: argparse.Namespace
) -> None:
    table = Table("refreshes", "RSS MiB", "PSS MiB", "peak MiB", decimals=1)
    peaks = {}
    for name, platform in zip(("this", "other"), platforms, strict=False):
        Meter(standing, platform).leave_alone()
        async with aiohttp.ClientSession() as http:
            clients = [await _logged_in(http, platform) for _ in range(arguments.clients)]
            for part in range(1, _PARTS + 1):
                await _refresh(clients, arguments.refreshes // _PARTS)
                peaks[name] = _read(platform, name, part * (arguments.refreshes // _PARTS), table)
    verdict("largest RSS of token, MiB", peaks["this"], GOAL_MIB, at_most=True)


def _read(platform: FiveProcesses, name: str, refreshes: int, table: Table) -> float:
    """Print what token holds; return the most it has held."""
    pid = platform.processes["token"].pid
    memory, peak = memory_of(pid), peak_of(pid) / _MIB
    table.add(name, refreshes, memory.rss / _MIB, memory.pss / _MIB, peak)
    return peak


async def _logged_in(http: aiohttp.ClientSession, platform: FiveProcesses) -> Client:
    client = Client(http, platform.base_url, "198.51.100.7", {})
    status = await client.log_in(str(uuid4()), "any is right")
    if status != _OK:
        raise SystemExit(f"a login was answered with {status}")
    return client


async def _refresh(clients: Sequence[Client], number: int) -> None:
    """Have the clients refresh *number* times between them, each after its own last answer."""
    left = iter(range(number))
    await asyncio.gather(*(_refresh_one(client, left) for client in clients))


async def _refresh_one(client: Client, left: Iterator[int]) -> None:
    for _ in left:
        status = await client.refresh()
        if status != _OK:
            raise SystemExit(f"a refresh was answered with {status}")


if __name__ == "__main__":
    main()
