"""What the five processes hold when they have nothing to do.

    python -m bench.memory
    python -m bench.memory --rounds 1 --idle 5

Starts five processes with RabbitMQ, Redis and PostgreSQL, lets one person go all the way (register,
verify, log in, refresh, look, log out), waits --idle seconds, and reads the resident (RSS) and the
proportional (PSS) set of each process. The servers between them are not counted. The goal is for
the sum of PSS: what the processes share (the interpreter, libraries) is in each RSS once more.
"""

import argparse
import asyncio

from bench.cpu import memory_of
from bench.figures import Table, verdict
from bench.starting import five_processes, ground
from tests.platforms.five import FiveProcesses

GOAL_MIB = 450
_MIB = 1024 * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=2, help="each with fresh processes")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds after the journey")
    arguments = parser.parse_args()
    table = Table("RSS MiB", "PSS MiB", decimals=1)
    with ground() as standing:
        for number in range(arguments.rounds):
            with five_processes(standing, folder=str(number)) as (platform,):
                asyncio.run(_journey(platform, idle=arguments.idle))
                _read(platform, table)
    table.print_medians()
    verdict("PSS of all five, MiB", table.median("together", "PSS MiB"), GOAL_MIB, at_most=True)


def _read(platform: FiveProcesses, table: Table) -> None:
    found = {name: memory_of(process.pid) for name, process in platform.processes.items()}
    for name, memory in found.items():
        table.add(name, memory.rss / _MIB, memory.pss / _MIB)
    table.add(
        "together",
        sum(memory.rss for memory in found.values()) / _MIB,
        sum(memory.pss for memory in found.values()) / _MIB,
    )


async def _journey(platform: FiveProcesses, *, idle: float) -> None:
    async with platform.person() as person:
        await person.join()
        for answer in (await person.refresh(), await person.me()):
            answer.raise_for_status()
        token = person.access_token
        (await person.call("POST", "/api/v1/auth/logout", {}, token=token)).raise_for_status()
    await asyncio.sleep(idle)


if __name__ == "__main__":
    main()
