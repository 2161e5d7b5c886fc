"""What others would write instead: a Node gateway, and a small one in Python."""

import sys
from collections.abc import Mapping, Sequence

from bench.gateway.ground import Ground, System
from bench.gateway.programs import node_modules
from bench.gateway.rows import LIMIT, Row
from bench.gateway.stage import answers, local
from bench.gateway.tokens import AUDIENCE, ISSUER
from chassis.processes import free_port
from tests.platforms.process import ROOT


def start_node(ground: Ground, rows: Mapping[str, Row]) -> list[System]:
    """Start it, installed from its lock."""
    return _start(ground, rows["node"], ["node", str(node_modules() / "server.js")])


def start_starlette(ground: Ground, rows: Mapping[str, Row]) -> list[System]:
    """Start it from this tree."""
    command = [sys.executable, "-m", "bench.gateway.starlette_httpx"]
    return _start(ground, rows["starlette"], command)


def _start(ground: Ground, row: Row, command: Sequence[str]) -> list[System]:
    port, key = free_port(), ground.public_key(row.tokens)
    told = [port, local(ground.upstream), key, ISSUER, AUDIENCE, LIMIT]
    program = ground.stage.start(
        row.name,
        [*command, *map(str, told)],
        ready=lambda: answers(local(port)),
        env={"PYTHONPATH": str(ROOT)},
        tested=True,
    )
    return [ground.system(row, port, program)]
