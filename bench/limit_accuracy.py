"""How many requests are allowed, against how many are configured.

    python -m bench.limit_accuracy [--seconds 12]

One user asks 1 and 3 gateway processes (their limiters, as the gateway wires them) for twice what
a limit of 600/minute allows; the limit counted exactly and leased; Redis *up*, *down* from the
start, *killed* or *frozen* in the middle, killed and *back* at three quarters. *ratio* is allowed ÷
(600 + what refills in the time); *bound* is what ADR 23 says it can be at most; *lost* is how often
a process lost Redis, on a busy machine also one that is there. *longest* is the slowest decision,
*late* the longest that a process waited for a core.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import structlog
import uvloop

from bench.command_line import parser
from bench.figures import Table, percentile
from chassis.background import Background
from chassis.clock import SystemClock
from chassis.metrics import Metrics
from chassis.rates import Rate
from chassis.testing.servers import RedisServer, Servers
from gateway.denylist import DenyList
from gateway.limits.limiter import Demand, Limiter
from gateway.limits.wiring import counting_in

RATE = Rate.parse("600/minute")
LEASE = RATE.limit // 30
A_SECOND = RATE.limit / RATE.period.total_seconds()
STATES = ("up", "down", "killed", "frozen", "back")
_LOST = "gatehouse_gateway_limits_redis_lost_total"
_COLUMNS = ("asked", "allowed", "ratio", "bound", "lost", "p50 ms", "longest ms", "late ms")


def main() -> None:
    """Measure and print; exits 1 when a bound does not hold."""
    options = parser("bench.limit_accuracy", __doc__, in_rounds=False)
    options.add_argument("--seconds", type=float, default=12.0, help="of each run")
    options.add_argument("--states", nargs="+", choices=STATES, default=STATES)
    options.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.worker:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(json.loads(arguments.worker)))
        return
    servers = Servers(say=print)
    try:
        beyond = list(_measure(servers.redis(), arguments))
    finally:
        servers.close()
    print(f"beyond the bound: {', '.join(beyond) or 'none'}")
    sys.exit(1 if beyond else 0)


def _measure(redis: RedisServer, arguments: argparse.Namespace) -> Iterator[str]:
    """Run everything; yield the names of the runs that allowed more than they may."""
    seconds = arguments.seconds
    table = Table(*_COLUMNS, decimals=3)
    for number, how, state in product((1, 3), ("exact", "leased"), arguments.states):
        redis.restart()
        if state == "down":
            redis.kill()
        told = _run(redis, number, how, state, seconds)
        allowed, asked = (sum(one[what] for one in told) for what in ("allowed", "asked"))
        configured = RATE.limit + A_SECOND * seconds
        lost = sum(one["lost"] for one in told)
        leased = LEASE if how == "leased" else 0
        # Who loses Redis finds its share of the limit whole at worst; an empty Redis has all of it.
        anew = RATE.limit * (lost / number + (state == "back"))
        bound = (configured + leased + anew + 1) / configured
        times = sorted(value for one in told for value in one["times"])
        name = f"{number} {how} {state}"
        ratio, p50 = allowed / configured, percentile(times, 0.5) * 1000
        late_ms = max(one["late"] for one in told) * 1000
        table.add(name, asked, allowed, ratio, bound, lost, p50, times[-1] * 1000, late_ms)
        if ratio > bound:
            yield name


def _run(
    redis: RedisServer, number: int, how: str, state: str, seconds: float
) -> Sequence[Mapping[str, Any]]:
    """Let *number* processes decide at once."""
    told = {"url": redis.url, "share": number, "lease": how == "leased", "seconds": seconds}
    command = [sys.executable, "-m", "bench.limit_accuracy", "--worker", json.dumps(told)]
    started: list[Any] = [
        subprocess.Popen(  # noqa: S603 - this interpreter, this file
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(number)
    ]
    try:
        for process in started:
            process.stdout.readline()  # it is ready
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        _change(redis, state, seconds)
        return [json.loads(process.stdout.readline()) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _change(redis: RedisServer, state: str, seconds: float) -> None:
    """Take Redis away in the middle, and bring it back."""
    if state in ("up", "down"):
        return
    time.sleep(seconds / 2)
    if state == "frozen":
        redis.freeze()
        return
    redis.kill()
    if state == "back":
        time.sleep(seconds / 4)
        redis.restart()


async def _work(told: Mapping[str, Any]) -> None:
    """Decide as one gateway process; print what was allowed, and how long each decision took."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    share, lease = told["share"], told["lease"]
    metrics = Metrics()
    counting = counting_in(
        told["url"], SystemClock(), metrics, DenyList(SystemClock()), share=share, lease=lease
    )
    async with Background() as background:
        failover = counting.failover
        if failover is not None:
            background.start("redis", lambda: failover.watch(background))
        await counting.limiter.decide([Demand("test", "warm", RATE)])
        before = metrics.registry.get_sample_value(_LOST)
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        result = await _offer(counting.limiter, told["seconds"], share)
    if counting.redis is not None:
        await counting.redis.close()
    lost = (metrics.registry.get_sample_value(_LOST) or 0) - (before or 0)
    print(json.dumps({**result, "lost": lost}), flush=True)


async def _offer(limiter: Limiter, seconds: float, share: int) -> Mapping[str, Any]:
    """Ask for a share of it all, evenly, whether the one before is decided or not."""
    demand, times = Demand("test", "somebody", RATE), list[float]()
    a_second = 2 * (RATE.limit / seconds + A_SECOND) / share

    async def ask() -> bool:
        began = time.perf_counter()
        decision = await limiter.decide([demand])
        times.append(time.perf_counter() - began)
        return decision.allowed

    asked, began = list[asyncio.Future[bool]](), time.perf_counter()
    pause, late = 0.5 / a_second, 0.0
    while (since := time.perf_counter() - began) < seconds:
        due = int(since * a_second) - len(asked)
        asked += [asyncio.ensure_future(ask()) for _ in range(due)]
        await asyncio.sleep(pause)
        late = max(late, time.perf_counter() - began - since - pause)
    allowed = sum(await asyncio.gather(*asked))
    return {"asked": len(asked), "allowed": allowed, "times": times, "late": late}


if __name__ == "__main__":
    main()
