"""What a refresh costs among a million sessions, against what it costs among ten thousand.

    python -m bench.many_sessions
    python -m bench.many_sessions --many 200000 --rounds 2 --seconds 4
    python -m bench.many_sessions --stale                    # identity is asked at each refresh
    python -m bench.many_sessions --against ../gatehouse-before

Starts two platforms of five processes on one RabbitMQ, Redis and durable PostgreSQL, fills token's
database of one with --few and of the other with --many users of one session each, and has them
refresh through the gateway, round by round. Each refresh is of another session, in random order
over all of them: its rows and its leaves of the indexes were last touched when the database was
filled, and nothing but the size of the tables makes the difference. (A client that refreshes again
and again would find its own pages in the cache, however many others there are.)

Counted is the CPU time of the token process (its relay included, until its outbox is empty) and of
the whole PostgreSQL; audit and notify are stopped meanwhile. The ratio is taken in each round.
"""

import argparse
import asyncio
import secrets
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import cycle

import aiohttp

from bench.command_line import parser, trees
from bench.figures import verdict
from bench.filling import Filling
from bench.identity_at_once import MODULES
from bench.load import Call, Client
from bench.rounds import Meter, Round, in_turn
from bench.starting import Ground, five_processes, ground
from chassis.clock import SystemClock
from services.token.domain.subjects import FRESH_FOR
from tests.platforms.five import FiveProcesses

GOAL = 1.3
_NAMES = ("few", "many", "other few", "other many")


def main() -> None:
    """Measure and print."""
    told = parser("bench.many_sessions", __doc__)
    told.add_argument("--few", type=int, default=10_000, help="sessions of one platform")
    told.add_argument("--many", type=int, default=1_000_000, help="sessions of the other")
    told.add_argument("--clients", type=int, default=16, help="sessions refreshing at once")
    told.add_argument("--stale", action="store_true", help="leave users unconfirmed")
    arguments = told.parse_args()
    roots = [root for root in trees(arguments) for _ in range(2)]
    print("starting the platforms …", flush=True)
    with (
        ground() as standing,
        five_processes(standing, roots=roots, modules=MODULES) as platforms,
    ):
        asyncio.run(_run(standing, platforms, arguments))


async def _run(
    standing: Ground, platforms: Sequence[FiveProcesses], arguments: argparse.Namespace
) -> None:
    loads = {}
    async with aiohttp.ClientSession() as http:
        sizes = cycle((arguments.few, arguments.many))
        for name, platform in zip(_NAMES, platforms, strict=False):
            meter = Meter(standing, platform)
            sessions = await _filled(meter, next(sizes), stale=arguments.stale)
            calls = [_refreshing(http, meter, sessions) for _ in range(arguments.clients)]
            loads[name] = meter, calls
        _conclude(await in_turn(loads, arguments))


def _conclude(rounds: Sequence[Mapping[str, Round]]) -> None:
    """Compare within each round, and take the medians."""
    alone = [one["many"].postgres_cost / one["few"].postgres_cost for one in rounds]
    print(f"cost in PostgreSQL alone, among many ÷ among few: {statistics.median(alone):.2f}")
    ratio = statistics.median(one["many"].cost / one["few"].cost for one in rounds)
    verdict("cost among many ÷ among few", ratio, GOAL, at_most=True)


class _Sessions:
    """All sessions of a platform in random order, each with its newest refresh token."""

    def __init__(self, filling: Filling) -> None:
        self._filling = filling
        self._newest: dict[int, str] = {}
        order = list(range(filling.number))
        secrets.SystemRandom().shuffle(order)
        self._coming: Iterator[int] = cycle(order)

    def next(self) -> tuple[int, str]:
        """Return the session whose turn it is, and its token."""
        number = next(self._coming)
        return number, self._newest.get(number) or self._filling.refresh_token(number)

    def keep(self, number: int, token: str) -> None:
        """Remember the successor of a token."""
        self._newest[number] = token


async def _filled(meter: Meter, number: int, *, stale: bool) -> _Sessions:
    now = SystemClock().now()
    # Confirmed ahead of time, so that identity is not asked before everything is measured.
    filling = Filling(number, checked_at=now - FRESH_FOR if stale else now + timedelta(days=1))
    async with meter.database() as connection:
        await filling.sessions(connection)
    return _Sessions(filling)


def _refreshing(http: aiohttp.ClientSession, meter: Meter, sessions: _Sessions) -> Call:
    """Return what a client repeats: refresh the next session."""
    base_url = meter.platform.base_url

    async def refresh() -> int:
        number, token = sessions.next()
        client = Client(http, base_url, f"198.51.100.{number % 250}", {"refresh_token": token})
        status = await client.refresh()
        sessions.keep(number, client.tokens["refresh_token"])
        return status

    return refresh


if __name__ == "__main__":
    main()
