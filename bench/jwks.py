"""JWKS answers per second: of token from its memory, and through the gateway.

    python -m bench.jwks
    python -m bench.jwks --rounds 2 --seconds 3 --processes 1
    python -m bench.jwks --against ../gatehouse-before       # two working trees, round by round

Starts five processes with RabbitMQ, Redis and PostgreSQL. Clients in processes of their own ask for
/.well-known/jwks.json on kept connections, the next time after each answer, without pipelining:
first token itself, with the assertion a gateway would sign, then the gateway.

"server cores" is the CPU time of who is asked (through the gateway: of gateway and token) ÷
seconds: near 1 the single process is measured, not its clients, whose own is "client cores". The
figure is answers ÷ CPU seconds of the token process: its rate when it has a core to itself.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from bench.command_line import parser, trees
from bench.cpu import seconds_of
from bench.figures import Table, percentile, verdict
from bench.keep_alive import KeepAlive, Target
from bench.starting import five_processes, ground
from chassis.assertions import HEADER, AssertionSigner
from chassis.clock import SystemClock
from chassis.crypto import parse_keys
from contracts.internal import JWKS_PATH
from tests.platforms.five import FiveProcesses

GOAL = 5000
_CLOCK = SystemClock()
_WARM_UP_SECONDS = 1.0


def main() -> None:
    """Measure and print."""
    told = parser("bench.jwks", __doc__)
    told.add_argument("--processes", type=int, default=2, help="of clients")
    told.add_argument("--connections", type=int, default=16, help="of each such process")
    arguments = told.parse_args()
    print("starting the platform …", flush=True)
    with (
        ground() as standing,
        five_processes(standing, roots=trees(arguments)) as platforms,
        KeepAlive(processes=arguments.processes, connections=arguments.connections) as clients,
    ):
        _Bench(clients, arguments).run(platforms)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is asked, and whose CPU time that is."""

    name: str
    platform: FiveProcesses

    @property
    def processes(self) -> Sequence[str]:
        return ("token",) if self.name == "token" else ("gateway", "token")

    @property
    def target(self) -> Target:
        """Return the request; the assertion in it is good for half a minute and more."""
        environment = self.platform.processes[self.name].environment
        port, lines = environment["PORT"], [f"Host: 127.0.0.1:{environment['PORT']}"]
        if self.name == "token":
            signer = AssertionSigner(
                issuer="gateway",
                audience="token",
                secrets=parse_keys(environment["ASSERTION_SECRETS_FROM_GATEWAY"]),
                clock=_CLOCK,
            )
            lines.append(f"{HEADER}: {signer.sign('GET', JWKS_PATH, request_id='bench-jwks')}")
        request = "\r\n".join([f"GET {JWKS_PATH} HTTP/1.1", *lines, "", ""])
        return Target("127.0.0.1", int(port), request.encode())

    def seconds(self) -> float:
        """Return the CPU time spent so far."""
        return sum(seconds_of(self.platform.processes[name].pid) for name in self.processes)


class _Bench:
    def __init__(self, clients: KeepAlive, arguments: argparse.Namespace) -> None:
        self._clients = clients
        self._arguments = arguments
        self._table = Table(
            "answers",
            "per second",
            "p50 ms",
            "p99 ms",
            "cpu us",
            "server cores",
            "client cores",
            "per core-s",
        )

    def run(self, platforms: Sequence[FiveProcesses]) -> None:
        asked = {
            f"{prefix}{name}": _Asked(name, platform)
            for prefix, platform in zip(("", "other "), platforms, strict=False)
            for name in ("token", "gateway")
        }
        for one in asked.values():
            self._clients.load(one.target, seconds=_WARM_UP_SECONDS)
        for _ in range(self._arguments.rounds):
            for name, one in asked.items():
                self._round(name, one)
        self._table.print_medians()
        verdict("of token per core-second", self._table.median("token", "per core-s"), GOAL)

    def _round(self, name: str, asked: _Asked) -> None:
        before = asked.seconds()
        counted = self._clients.load(asked.target, seconds=self._arguments.seconds)
        spent = asked.seconds() - before
        latencies = list(chain.from_iterable(one.latencies for one in counted))
        seconds = max(one.seconds for one in counted)
        self._table.add(
            name,
            len(latencies),
            len(latencies) / seconds,
            percentile(latencies, 0.5) * 1000,
            percentile(latencies, 0.99) * 1000,
            spent / len(latencies) * 1e6,
            spent / seconds,
            sum(one.cpu for one in counted) / seconds,
            len(latencies) / spent,
        )


if __name__ == "__main__":
    main()
