"""This gateway against HAProxy, nginx, a Node peer and Starlette + httpx, on one core each.

    python -m bench.gateway                                   # everything, some nine minutes
    python -m bench.gateway --only haproxy gatehouse-leased gatehouse-exact --rounds 3
    python -m bench.gateway --only haproxy gatehouse-exact --against ../gatehouse-before
    python -m bench.gateway --only haproxy gatehouse-leased --against .   # as it is, uncompiled
    python -m bench.gateway --memory                          # 1 000 000 requests, and what is held

The gateway is what its image runs: the hop is compiled first where that is not done (a minute).
A tree to compare with runs as it is.

One core is the system's, a second one everybody else's: the load, the upstream (300 bytes of JSON
by nginx), Redis, and what answers for token and audit. Round by round each system is loaded by wrk
as much as it takes (64 connections, 2 000 users, each with a token of his own), then at the same
fixed rate as the others, half of what HAProxy did in that round. Figures:

per core-s   answers ÷ CPU seconds of the system's processes; of Redis, script calls and CPU time
             for one answer are listed beside
÷ HAProxy    that ÷ HAProxy's of the same round, which verifies RS256 each time and limits subjects;
             its key has the customary 2048 bits; ours has 3072, the least the gateway takes, and
             `haproxy-3072` is loaded with the same tokens
p50, p99     at saturation; "same load": at the fixed rate, from the arrival of a request
RSS          of the system's processes, when it was ready and in the last round

A system with one answer that is not 2xx is void, and the bench exits 1. Names for --only: a row,
or a group of them (gatehouse, plain). What is missing is installed where apt-get may (root), the
Node peer by npm ci from its lock into the cache folder of the user.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.command_line import parser, trees
from bench.cpu import load_average
from bench.gateway.gatehouse import start_gatehouse
from bench.gateway.ground import Ground, System, ground
from bench.gateway.measuring import Measured, Meter, rss_mib
from bench.gateway.memory import watch
from bench.gateway.peers import start_node, start_starlette
from bench.gateway.programs import compiled, find, versions
from bench.gateway.proxies import start_haproxy, start_nginx
from bench.gateway.report import Report
from bench.gateway.rows import ROWS, Row, chosen

_FOR_ALL = ("taskset", "nginx", "wrk")
_MEMORY_ROWS = ("gatehouse-leased",)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    rows = chosen(arguments.only or (_MEMORY_ROWS if arguments.memory else ()))
    programs = _programs(rows)
    find(programs)
    print(f"load average {load_average():.1f} at the start", flush=True)
    with ground(rows) as standing:
        systems = _start(standing, {row.name: row for row in rows}, trees(arguments))
        meter = Meter(
            standing.redis_url,
            seconds=arguments.seconds,
            offered_seconds=arguments.offered_seconds,
            rate=arguments.rate,
        )
        print("; ".join(versions(programs, standing.redis_url)), flush=True)
        if arguments.memory:
            watch(meter, systems, requests=arguments.requests)
        else:
            _compare(meter, systems, arguments)


def _arguments() -> argparse.Namespace:
    told = parser("bench.gateway", __doc__, in_rounds=False)
    told.add_argument("--rounds", type=int, default=5)
    told.add_argument("--seconds", type=int, default=3, help="at saturation (whole)")
    told.add_argument("--offered-seconds", type=float, default=2.5, help="at the fixed rate")
    told.add_argument("--rate", type=float, help="the fixed rate, if not half of HAProxy's")
    told.add_argument("--only", nargs="+", default=[], metavar="NAME", help=_names())
    told.add_argument("--memory", action="store_true", help="watch what is held instead")
    told.add_argument("--requests", type=int, default=1_000_000, help="of --memory")
    return told.parse_args()


def _names() -> str:
    return ", ".join(row.name for row in ROWS)


def _programs(rows: Sequence[Row]) -> list[str]:
    names = {row.name for row in rows}
    haproxy = ["haproxy"] if any("haproxy" in name for name in names) else []
    return [*_FOR_ALL, *haproxy, *(["node", "npm"] if "node" in names else [])]


def _start(standing: Ground, rows: Mapping[str, Row], roots: Sequence[Path]) -> list[System]:
    """Start what *rows* need, in the order of the table."""

    def of(part: str) -> Mapping[str, Row]:
        return {name: row for name, row in rows.items() if part in name}

    systems = []
    if found := of("haproxy"):
        systems += start_haproxy(standing, found)
    if found := of("nginx"):
        systems += start_nginx(standing, found)
    if found := of("gatehouse"):
        systems += start_gatehouse(standing, found, [compiled(), *roots[1:]])
    if found := of("node"):
        systems += start_node(standing, found)
    if found := of("starlette"):
        systems += start_starlette(standing, found)
    return sorted(systems, key=lambda system: ROWS.index(system.row))


def _compare(meter: Meter, systems: Sequence[System], arguments: argparse.Namespace) -> None:
    started = {system.name: rss_mib(system) for system in systems}
    for system in systems:
        meter.warm_up(system)
    rounds = []
    for number in range(1, arguments.rounds + 1):
        measured = {}
        for system in systems:
            one = measured[system.name] = meter.measure(system)
            print(_progress(f"{number}/{arguments.rounds} {system.name}", one), flush=True)
        rounds.append(measured)
    report = Report(rounds, started, {system.name: system.row.about for system in systems})
    report.print()
    print(f"load average {load_average():.1f} at the end")
    if report.void:
        raise SystemExit(1)


def _progress(name: str, one: Measured) -> str:
    offered = one.offered
    late = f", p99 {offered.p99:.1f} ms at the fixed rate" if offered else ""
    return (
        f"{name:>28}: {one.per_core_second:6.0f} per core-s, {one.answered.per_second:6.0f}/s, "
        f"p99 {one.answered.p99:.1f} ms{late}, RSS {one.rss_mib:.0f} MiB, "
        f"bad {one.bad}, load {load_average():.1f}"
    )


if __name__ == "__main__":
    main()
