"""What a decision about a limit costs: CPU of the gateway's process and of Redis.

    python -m bench.limit_decisions [--rounds 5] [--seconds 3] [--against ANOTHER_TREE]

64 callers decide as fast as they can, for 1 000 users in turn, each decision with one limit of
600/minute and a token: *exact* in Redis; *leased* by users who ask eight times a second, and who
ask *seldom*, every five seconds; in *memory*. The users' time is made up: a second of it has as
many decisions as they would ask for. Each round runs in a process of its own, one kind after the
other; the other tree's is its exact decision. Each figure has a turn of the loop in it.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import uvloop
from redis import Redis

from bench.command_line import parser, trees
from bench.figures import Table, verdict
from chassis.clock import SystemClock
from chassis.jwt import AccessToken
from chassis.rates import Rate
from chassis.testing.servers import Servers
from gateway.limits.limiter import Decision, Demand
from gateway.limits.memory import MemoryLimiter
from gateway.limits.redis import RedisLimiter

CALLERS = 64
USERS = 1_000
RATE = Rate.parse("600/minute")
GOAL_US = 40.0
_A_SECOND = {"exact": 8.0, "leased": 8.0, "seldom": 0.2, "memory": 8.0}
_COLUMNS = ("decisions", "per second", "gateway us", "redis us")
_WARM_UP_SECONDS = 0.5

Decide = Callable[[Demand], Awaitable[Decision]]


def main() -> None:
    """Measure and print."""
    options = parser("bench.limit_decisions", __doc__)
    options.add_argument("--worker", nargs=2, metavar=("KIND", "URL"), help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.worker:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(_work(arguments))))
        return
    servers = Servers(say=print)
    try:
        _measure(servers.redis().url, arguments)
    finally:
        servers.close()


def _measure(url: str, arguments: argparse.Namespace) -> None:
    this, *other = trees(arguments)
    kinds = [(kind, kind, this) for kind in _A_SECOND]
    kinds += [("other exact", "exact", tree) for tree in other]
    table = Table(*_COLUMNS)
    with Redis.from_url(url) as redis:
        for _ in range(arguments.rounds):
            for name, kind, tree in kinds:
                redis.flushall()  # what a round before has counted lies in the future of this one
                before = _cpu_of(redis)
                done = _run(kind, url, tree, arguments.seconds)
                spent = _cpu_of(redis) - before
                number = done["decisions"]
                gateway, per_second = done["cpu"] / number * 1e6, number / done["seconds"]
                table.add(name, number, per_second, gateway, spent / done["all"] * 1e6)
    table.print_medians()
    cost = table.median("exact", "gateway us")
    verdict("gateway us of an exact decision", cost, GOAL_US, at_most=True)


def _cpu_of(redis: Redis) -> float:
    told = redis.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def _run(kind: str, url: str, tree: Path, seconds: float) -> Mapping[str, float]:
    """Run one round in a process that imports the gateway of *tree*."""
    command = [sys.executable, "-P", __file__, "--worker", kind, url, "--seconds", str(seconds)]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(  # noqa: S603 - this interpreter, this file
        command, env=environment, check=True, capture_output=True, timeout=seconds + 60
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


class _Pace:
    """The users' time: each decision moves it on, so that a user asks *a_second* times."""

    def __init__(self, a_second: float) -> None:
        self._start = SystemClock().now()
        self._step = timedelta(seconds=1 / (a_second * USERS))
        self.decisions = 0

    def now(self) -> datetime:
        """Return the time after so many decisions."""
        return self._start + self._step * self.decisions

    def microseconds(self) -> int:
        """Return the same as the leases want it."""
        return self.decisions * self._step.microseconds


async def _work(arguments: argparse.Namespace) -> Mapping[str, float]:
    kind, url = arguments.worker
    pace = _Pace(_A_SECOND[kind])
    store = RedisLimiter.from_url(url, timeout=5, clock=pace)
    decide = _decider(kind, store, pace)
    await _load(decide, pace, _WARM_UP_SECONDS)
    warm = pace.decisions
    started, cpu = time.perf_counter(), time.process_time()
    await _load(decide, pace, arguments.seconds)
    cpu, took = time.process_time() - cpu, time.perf_counter() - started
    await store.close()
    done = pace.decisions
    return {"seconds": took, "cpu": cpu, "decisions": done - warm, "all": done}


def _decider(kind: str, store: RedisLimiter, pace: _Pace) -> Decide:
    token = _token()
    if kind == "exact":
        return lambda demand: store.decide([demand], token)
    if kind == "memory":
        memory = MemoryLimiter(pace)
        return lambda demand: memory.decide([demand], token)
    from gateway.limits.leases import LeasedLimiter  # noqa: PLC0415 - the other tree may have none

    leased = LeasedLimiter(store, pace.microseconds)
    return lambda demand: leased.decide([demand], token)


async def _load(decide: Decide, pace: _Pace, seconds: float) -> None:
    demands = [Demand("route", f"bench:{user}@{RATE}", RATE) for user in range(USERS)]
    ends = time.perf_counter() + seconds

    async def call() -> None:
        while time.perf_counter() < ends:
            pace.decisions += 1
            decision = await decide(demands[pace.decisions % USERS])
            if not decision.allowed:
                raise SystemExit("nobody asks for more than the limit")
            await asyncio.sleep(0)  # as between two requests of one connection

    await asyncio.gather(*(call() for _ in range(CALLERS)))


def _token() -> AccessToken:
    now = SystemClock().now()
    return AccessToken(
        sub=str(uuid4()),
        sid=str(uuid4()),
        jti=uuid4().hex,
        iat=now,
        exp=now + timedelta(hours=1),
        auth_time=now,
        amr=("pwd",),
        roles=frozenset({"user"}),
        scope="",
        ver=1,
        kid="bench",
    )


if __name__ == "__main__":
    main()
