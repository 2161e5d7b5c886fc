"""How long a logged-out access token still passes the gateway (D12: at most one second).

    python -m bench.propagation [--rounds 30] [--shape one|five]

Starts the platform, logs people in and out again and again, and asks with the old token until it is
refused: while all is well, with Redis flushed and down, with the broker killed, and with the broker
cut off without a word. That last one needs root or user namespaces (`bench.partition`).
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.figures import percentile, verdict
from bench.partition import cut_off, enter_own_network
from bench.starting import one_process, running
from chassis.testing.servers import RabbitMQServer, RedisServer, Servers
from tests.platforms.crowd import NO_LIMITS
from tests.platforms.five import FiveProcesses, Parts
from tests.platforms.person import Person
from tests.platforms.platform import Platform

_BOUND_MS = 1000
_REFUSED = 401
_GIVE_UP_SECONDS = 10.0
_ASK_EVERY_SECONDS = 0.01
_PEOPLE = 10


@dataclass(frozen=True)
class State:
    """What is wrong with the platform while it is measured.

    *lasting* holds while all rounds go on; *after_logout* is done in each of them.
    """

    name: str
    lasting: Callable[[], AbstractContextManager[None]]
    after_logout: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Troubles:
    """What can be done to a platform's servers."""

    platform: FiveProcesses
    redis: RedisServer
    rabbitmq: RabbitMQServer
    can_cut: bool

    def states(self) -> Iterator[State]:
        """Yield every state; the broker is killed last, for it takes seconds to come back."""
        yield State("all well", nullcontext)
        yield State("Redis flushed", nullcontext, self.redis.flush)
        yield State("Redis down", self._without_redis)
        if self.can_cut:
            yield State("broker cut off silently", self._cut)
            yield State("broker cut off, Redis down", self._without_both)
        yield State("broker killed", self._without_broker)

    @contextmanager
    def _without_redis(self) -> Iterator[None]:
        self.redis.kill()
        try:
            yield
        finally:
            self.redis.restart()

    @contextmanager
    def _without_broker(self) -> Iterator[None]:
        self.rabbitmq.settle()
        self.rabbitmq.kill()
        try:
            yield
        finally:
            self.rabbitmq.restart()

    @contextmanager
    def _without_both(self) -> Iterator[None]:
        with self._cut(), self._without_redis():
            yield

    def _cut(self) -> AbstractContextManager[None]:
        port = urlsplit(self.platform.rabbitmq_url).port
        if port is None:
            raise SystemExit("the broker has no port")
        return cut_off(port)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.shape == "one":
        with one_process() as platform:
            asyncio.run(_measure(platform, [State("one process", nullcontext)], arguments.rounds))
        return
    can_cut = enter_own_network("bench.propagation", sys.argv[1:])
    if not can_cut:
        print("not measured: the broker cut off (no network namespace, or no iptables)")
    with _troubles(can_cut=can_cut) as troubles:
        states = list(troubles.states())
        asyncio.run(_measure(troubles.platform, states, arguments.rounds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.propagation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--shape", choices=("one", "five"), default="five")
    return parser.parse_args()


@contextmanager
def _troubles(*, can_cut: bool) -> Iterator[Troubles]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatehouse-bench-")))
        servers = Servers(say=print)
        stack.callback(servers.close)
        servers.launch_rabbitmq()
        redis, admin_url = servers.redis(), servers.postgres().admin_url
        rabbitmq = servers.rabbitmq()
        five = FiveProcesses(folder, Parts(admin_url, rabbitmq, redis.url), NO_LIMITS)
        stack.enter_context(running(five))
        yield Troubles(five, redis, rabbitmq, can_cut)


async def _measure(platform: Platform, states: Sequence[State], rounds: int) -> None:
    print(f"{'state':>28} {'rounds':>7} {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7} {'took s':>7}")
    worst = 0.0
    async with AsyncExitStack() as stack:
        # They join while mail still travels; each logs in anew for every round.
        people = [await stack.enter_async_context(platform.person()) for _ in range(_PEOPLE)]
        for person in people:
            await person.join()
        for state in states:
            began = time.perf_counter()
            with state.lasting():
                times = [await _round(people[n % _PEOPLE], state) for n in range(rounds)]
                took = time.perf_counter() - began
            worst = max(worst, *times)
            figures = (statistics.median(times), percentile(times, 0.99), max(times), took)
            cells = " ".join(f"{figure:>7.0f}" for figure in figures)
            print(f"{state.name:>28} {rounds:>7} {cells}", flush=True)
    verdict("the longest of all, ms", worst, _BOUND_MS, at_most=True)


async def _round(person: Person, state: State) -> float:
    """Return the milliseconds from the answer of a logout to the first refusal."""
    (await person.login()).raise_for_status()
    token = person.access_token
    (await person.me(token)).raise_for_status()
    (await person.call("POST", "/api/v1/auth/logout", {}, token=token)).raise_for_status()
    answered = time.perf_counter()
    state.after_logout()
    while (asked := await person.me(token)).status_code != _REFUSED:
        asked.raise_for_status()
        if time.perf_counter() - answered > _GIVE_UP_SECONDS:
            raise SystemExit(f"{state.name}: the token is still accepted")
        await asyncio.sleep(_ASK_EVERY_SECONDS)
    return (time.perf_counter() - answered) * 1000


if __name__ == "__main__":
    main()
