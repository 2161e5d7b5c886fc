"""Rounds of load on token: what was answered, and what token and PostgreSQL spent on it."""

import argparse
import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.cpu import seconds_of, seconds_of_tree
from bench.figures import Table, percentile
from bench.load import Answers, Call, closed
from bench.starting import Ground
from chassis.testing import eventually
from tests.platforms.five import FiveProcesses

_COLUMNS = ("answers", "per second", "p50 ms", "p99 ms", "token us", "pg us", "per core-s")

_DRAINED_SECONDS = 60
_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Round:
    """The good answers of *seconds*, and CPU seconds of token and PostgreSQL."""

    answers: Answers
    seconds: float
    token: float
    postgres: float

    @property
    def cost(self) -> float:
        """Return the CPU seconds of one answer."""
        return (self.token + self.postgres) / self.answers.good

    @property
    def postgres_cost(self) -> float:
        """Return the part of it that PostgreSQL spends."""
        return self.postgres / self.answers.good

    @property
    def figures(self) -> tuple[float, ...]:
        """Return what _COLUMNS name."""
        good = self.answers.good
        return (
            good,
            good / self.seconds,
            percentile(self.answers.seconds, 0.5) * 1000,
            percentile(self.answers.seconds, 0.99) * 1000,
            self.token / good * 1e6,
            self.postgres_cost * 1e6,
            1 / self.cost,
        )


@dataclass(frozen=True, slots=True)
class Meter:
    """Reads what one platform's token and the PostgreSQL of all spend.

    In token's share is its relay, until the outbox is empty; PostgreSQL is counted whole: stop who
    else has statements for it (`leave_alone`).
    """

    standing: Ground
    platform: FiveProcesses

    def leave_alone(self) -> None:
        """Stop the services that would record, or mail, what token tells."""
        for name in ("audit", "notify"):
            self.platform.processes[name].stop()

    async def load(self, calls: Sequence[Call], *, seconds: float) -> Round:
        """Repeat *calls* for *seconds* and until all is told; each must be answered with 200."""
        before = self._seconds()
        answers = await closed(calls, seconds=seconds)
        await self.drained()
        after = self._seconds()
        if set(answers.statuses) != {200}:
            raise SystemExit(f"not every call worked: {dict(answers.statuses)}")
        return Round(answers, seconds, after[0] - before[0], after[1] - before[1])

    async def drained(self) -> None:
        """Wait until token has told everything it had to tell."""
        waiting = "SELECT NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)"
        async with self.database() as connection:
            await eventually(lambda: connection.fetchval(waiting), within=_DRAINED_SECONDS)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """Open token's database as its superuser."""
        url = urlsplit(self.standing.postgres.admin_url)
        path = self.platform.database("token")
        connection = await asyncpg.connect(urlunsplit(url._replace(path=path)))
        try:
            yield connection
        finally:
            await connection.close()

    def _seconds(self) -> tuple[float, float]:
        token = self.platform.processes["token"]
        return seconds_of(token.pid), seconds_of_tree(self.standing.postgres.pid)


async def in_turn(
    loads: Mapping[str, tuple[Meter, Sequence[Call]]], arguments: argparse.Namespace
) -> Sequence[Mapping[str, Round]]:
    """Load one platform after the other, round by round, after a warm-up; print it all."""
    table, rounds = Table(*_COLUMNS), []
    for meter, calls in loads.values():
        meter.leave_alone()
        await meter.load(calls, seconds=_WARM_UP_SECONDS)
    for _ in range(arguments.rounds):
        measured = {}
        for name, (meter, calls) in loads.items():
            measured[name] = await meter.load(calls, seconds=arguments.seconds)
            table.add(name, *measured[name].figures)
        rounds.append(measured)
    table.print_medians()
    return rounds


def per_core_second(rounds: Sequence[Mapping[str, Round]], name: str) -> float:
    """Return the median of what one platform answered per CPU second."""
    return statistics.median(1 / one[name].cost for one in rounds)
