"""Loops that end in the middle of transactions: `python -m chassis.tests.ending_loops URL ROUNDS`.

As when a test or a service is interrupted, whether or not the database was closed. Each must end:
what is taken back late must not wait for an answer that nobody will bring any more.
"""

import asyncio
import random  # noqa: TID251 - times, not secrets
import sys

import sqlalchemy as sa
import uvloop

from chassis.database import Database

_TASKS, _LONGEST = 10, 0.06


async def _work(database: Database, chance: random.Random) -> None:
    while True:
        async with database.transaction() as tx:
            seconds = chance.random() * 0.003
            await tx.execute(sa.text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
            await tx.fetch_row("SELECT 1")


async def _end_in_the_middle(url: str, chance: random.Random) -> None:
    database = Database(url, pool_min=2, pool_max=6)
    tasks = [asyncio.create_task(_work(database, chance)) for _ in range(_TASKS)]
    await asyncio.wait(tasks, timeout=chance.random() * _LONGEST)
    for task in tasks:
        if chance.random() < 0.7:
            task.cancel()
    await asyncio.wait(tasks, timeout=chance.choice((0.0, chance.random() * 0.004)))
    if chance.random() < 0.5:
        await database.close()


def main(url: str, rounds: int) -> None:
    """Begin and end that many loops."""
    chance = random.Random(0)  # noqa: S311 - times, not secrets
    for _ in range(rounds):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_end_in_the_middle(url, chance))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
