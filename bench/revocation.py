"""How long a logged-out access token still passes the gateway (D12: at most one second).

    python -m bench.revocation [--rounds 50] [--shape one|five]

Starts the platform, logs a user in and out again and again, and asks with the old token until it is
refused.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chassis.testing.servers import Servers
from tests.platforms.five import FiveProcesses, Parts
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.single import SingleProcess

_LIMITS = {
    f"RATE_LIMIT_{name}": "100000/minute" for name in ("LOGIN", "PER_IP", "PER_USER", "REGISTER")
}
_REFUSED = 401
_GIVE_UP_SECONDS = 10.0
_ASK_EVERY_SECONDS = 0.01


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--shape", choices=("one", "five"), default="one")
    arguments = parser.parse_args()
    with _platform(arguments.shape) as platform:
        milliseconds = asyncio.run(_measure(platform, arguments.rounds))
    milliseconds.sort()
    print(
        f"{arguments.shape}: {len(milliseconds)} rounds, "
        f"p50 {statistics.median(milliseconds):.0f} ms, "
        f"p99 {milliseconds[int(len(milliseconds) * 0.99)]:.0f} ms, max {milliseconds[-1]:.0f} ms"
    )


@contextmanager
def _platform(shape: str) -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
        folder = Path(name)
        if shape == "one":
            single = SingleProcess(folder, _LIMITS)
            with _running(single):
                yield single
            return
        servers = Servers(say=print)
        try:
            rabbitmq = servers.rabbitmq()
            admin_url = servers.postgres().admin_url
            five = FiveProcesses(folder, Parts(admin_url, rabbitmq, servers.redis().url), _LIMITS)
            with _running(five):
                yield five
        finally:
            servers.close()


@contextmanager
def _running(platform: Platform) -> Iterator[None]:
    """Start it, and stop it whatever happens."""
    platform.start()
    try:
        yield
    finally:
        platform.stop()


async def _measure(platform: Platform, rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        # Somebody new each time: asking again and again counts against the limit of a user.
        async with platform.person() as person:
            times.append(await _one_round(person))
    return times


async def _one_round(person: Person) -> float:
    await person.join()
    token = person.access_token
    (await person.me(token)).raise_for_status()
    (await person.call("POST", "/api/v1/auth/logout", {}, token=token)).raise_for_status()
    answered = time.perf_counter()
    while (await person.me(token)).status_code != _REFUSED:
        if time.perf_counter() - answered > _GIVE_UP_SECONDS:
            raise SystemExit("the token is still accepted")
        await asyncio.sleep(_ASK_EVERY_SECONDS)
    return (time.perf_counter() - answered) * 1000


if __name__ == "__main__":
    main()
