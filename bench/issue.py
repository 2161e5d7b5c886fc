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

import aiohttp

from bench.command_line import parser, trees
from bench.figures import verdict
from bench.filling import Filling
from bench.identity_at_once import MODULES
from bench.load import Call, Client
from bench.rounds import Meter, in_turn, per_core_second
from bench.starting import Ground, five_processes, ground
from tests.platforms.five import FiveProcesses

GOAL = 700
_PASSWORD = "any is right"
# Of those who log in again: nobody twice at the same time.
_USERS_PER_CLIENT = 4


def main() -> None:
    """Measure and print."""
    told = parser("bench.issue", __doc__)
    told.add_argument("--clients", type=int, default=16, help="logins at once")
    told.add_argument("--users", type=int, default=100_000, help="whom token knows")
    told.add_argument("--again", action="store_true", help="replace sessions of a few users")
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
    async with aiohttp.ClientSession() as http:
        loads = {}
        for name, platform in zip(("this", "other"), platforms, strict=False):
            meter = Meter(standing, platform)
            loads[name] = meter, await _logins(meter, http, arguments)
        rounds = await in_turn(loads, arguments)
    verdict("sessions issued per core-second", per_core_second(rounds, "this"), GOAL)


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
