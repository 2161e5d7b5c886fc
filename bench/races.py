"""Races for a session, as many rounds as one likes: what must never happen, counted.

    python -m bench.races                        # 100 rounds each, 1000 of refresh against logout
    python -m bench.races --rounds 1000
    python -m bench.races --race theft --race "lost answer"

Two replicas of token stand on one PostgreSQL; services/token/tests/races.py says what each race is.
Prints a line per race: rounds, how often who came first, and how often it ended wrongly. Exits 1
when anything did.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence

from chassis.logs import configure
from chassis.testing import FixedClock
from chassis.testing.databases import Databases
from chassis.testing.servers import Servers
from services.token.tests.kit import MIGRATIONS
from services.token.tests.races import RACES, Arena, arena

ROUNDS = 100
_ROUNDS_OF = {"refresh against logout": 1000}
_PROGRESS_EVERY_SECONDS = 10.0


def main() -> int:
    """Run and print; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.races",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, help="of every race")
    parser.add_argument("--race", action="append", choices=list(RACES), help="only this one")
    arguments = parser.parse_args()
    configure(level="error", style="console")
    names = arguments.race or list(RACES)
    servers = Servers(say=print)
    try:
        wrong = asyncio.run(_run(servers.postgres().admin_url, names, arguments.rounds))
    finally:
        servers.close()
    print(f"ended wrongly: {wrong}", flush=True)
    return int(wrong > 0)


async def _run(admin_url: str, names: Sequence[str], rounds: int | None) -> int:
    """Run the races one after the other, each on a database of its own; return what went wrong."""
    databases = Databases(admin_url)
    wrong = 0
    try:
        for name in names:
            database = await databases.create("token", MIGRATIONS)
            try:
                async with arena(database, FixedClock()) as standing:
                    wrong += await _race(standing, name, rounds or _ROUNDS_OF.get(name, ROUNDS))
            finally:
                await databases.drop(database)
    finally:
        await databases.close()
    return wrong


async def _race(standing: Arena, name: str, rounds: int) -> int:
    first, wrong = Counter[str](), 0
    told = began = time.monotonic()
    for number in range(1, rounds + 1):
        done = await RACES[name](standing)
        first[done.first] += 1
        wrong += done.wrong
        if time.monotonic() - told > _PROGRESS_EVERY_SECONDS:
            told = time.monotonic()
            print(f"  {name}: {number} of {rounds}", flush=True)
    took = time.monotonic() - began
    who = ", ".join(f"{who} {times}" for who, times in first.most_common())
    print(f"{name:34} {rounds:5} rounds, wrong {wrong}, first: {who} ({took:.0f} s)", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
