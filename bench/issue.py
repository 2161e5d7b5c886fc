"""Sessions issued after authentication, per core-second of token and PostgreSQL together.

    python -m bench.issue
    python -m bench.issue --rounds 3 --seconds 4 --clients 8
    python -m bench.issue --again                            # each login ends the session before
    python -m bench.issue --against ../gatehouse-before      # two working trees, round by round

Starts five processes with RabbitMQ, Redis and a durable PostgreSQL; in identity's place a stand-in
answers at once (bench.identity_at_once), so that no hash is in the figure and token's question is.
Users whom token knows and who have no session log in through the gateway, each once; with --again
a few log in over and over, and the single session of each is replaced (MAX_SESSIONS_PER_USER=1):
that is two more events and an entry of the deny list.

Counted is the CPU time of the token process (its relay included, until its outbox is empty) and of
the whole PostgreSQL; audit and notify are stopped meanwhile. Gateway, stand-in, broker and this
load generator are not counted.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import aiohttp

from bench.figures import Table, verdict
from bench.filling import Filling
from bench.identity_at_once import MODULES
from bench.load import Call, Client
from bench.rounds import COLUMNS, Meter
from bench.starting import Ground, five_processes, ground
from tests.platforms.five import FiveProcesses
from tests.platforms.process import ROOT

GOAL = 700
_WARM_UP_SECONDS = 2.0
_PASSWORD = "any is right"
# Of those who log in again: nobody twice at the same time.
_USERS_PER_CLIENT = 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.issue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of load in a round")
    parser.add_argument("--clients", type=int, default=16, help="logins at once")
    parser.add_argument("--users", type=int, default=100_000, help="whom token knows")
    parser.add_argument("--again", action="store_true", help="replace sessions of a few users")
    parser.add_argument("--against", type=Path, help="another working tree to compare with")
    arguments = parser.parse_args()
    roots = [ROOT, *([arguments.against] if arguments.against else [])]
    print("starting the platform …", flush=True)
    with (
        ground() as standing,
        five_processes(standing, roots=roots, modules=MODULES) as platforms,
    ):
        asyncio.run(_run(standing, platforms, arguments))


async def _run(
    standing: Ground, platforms: Sequence[FiveProcesses], arguments: argparse.Namespace
) -> None:
    meters = [Meter(standing, platform) for platform in platforms]
    async with aiohttp.ClientSession() as http:
        logins = [await _logins(meter, http, arguments) for meter in meters]
        table = Table(*COLUMNS)
        for meter, calls in zip(meters, logins, strict=True):
            meter.leave_alone()
            await meter.load(calls, seconds=_WARM_UP_SECONDS)
        for _ in range(arguments.rounds):
            for name, meter, calls in zip(("this", "other"), meters, logins, strict=False):
                measured = await meter.load(calls, seconds=arguments.seconds)
                table.add(name, *measured.figures)
    table.print_medians()
    verdict("sessions issued per core-second", table.median("this", "per core-s"), GOAL)


async def _logins(
    meter: Meter, http: aiohttp.ClientSession, arguments: argparse.Namespace
) -> list[Call]:
    """Let token know the users; return what each client repeats: log the next user in."""
    async with meter.database() as connection:
        await Filling(arguments.users).subjects(connection)
        users = [str(row["user_id"]) for row in await connection.fetch(_USERS)]
    coming = iter(users)
    if arguments.again:
        coming = cycle(users[: arguments.clients * _USERS_PER_CLIENT])
    return [
        _login(Client(http, meter.platform.base_url, f"198.51.100.{number % 250}", {}), coming)
        for number in range(arguments.clients)
    ]


_USERS = "SELECT user_id FROM subjects ORDER BY md5(user_id::text)"


def _login(client: Client, coming: Iterator[str]) -> Call:
    async def log_in() -> int:
        user = next(coming, None)
        if user is None:
            raise SystemExit("everybody has logged in: say more --users")
        return await client.log_in(user, _PASSWORD)

    return log_in


if __name__ == "__main__":
    main()
