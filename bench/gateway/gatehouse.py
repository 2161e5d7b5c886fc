"""This gateway: `python -m gateway` as it is deployed, one worker, without a broker."""

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from bench.gateway.environment import packages_of_the_image
from bench.gateway.ground import Ground, System
from bench.gateway.rows import EXACT, LEASED, OTHER, Row
from bench.gateway.stage import Started, answers, local
from bench.gateway.tokens import AUDIENCE, ISSUER
from chassis.crypto import b64encode
from chassis.processes import free_port
from tests.platforms.process import ROOT

_SERVICES = ("identity", "token", "notify", "audit")
_PATHS = {"gatehouse-exact": "/exact", "gatehouse-unlimited": "/unlimited"}
_DEFAULT_PATH = "/leased"
_OF_THEIR_OWN = ("gatehouse-exact", "gatehouse-logged")


def start_gatehouse(ground: Ground, rows: Mapping[str, Row], trees: Sequence[Path]) -> list[System]:
    """Start what each of the working trees needs for *rows*; the second one's are called other."""
    services = _start_stand_in(ground)
    systems = []
    for prefix, tree in zip(("", OTHER), trees, strict=False):
        gateways: dict[str, tuple[int, Started]] = {}
        for row in rows.values():
            kind = _process_of(row)
            if kind not in gateways:
                gateways[kind] = _start(ground, services, f"{prefix}{kind}", tree.resolve())
            path = _PATHS.get(row.name, _DEFAULT_PATH)
            systems.append(ground.system(row, *gateways[kind], path=path, prefix=prefix))
    return systems


def _process_of(row: Row) -> str:
    """Return which of its processes a row is served by.

    New tokens would drive those of the other rows out of what the process remembers.
    """
    if row.tokens != "rs256":
        return row.name
    return row.name if row.name in _OF_THEIR_OWN else "gatehouse"


def _start(ground: Ground, services: str, name: str, tree: Path) -> tuple[int, Started]:
    port, ops = free_port(), free_port()
    packages = packages_of_the_image(ground.stage.folder / "packages")
    program = ground.stage.start(
        name,
        [sys.executable, "-S", "-m", "gateway"],  # without what is installed beside the packages
        ready=lambda: _is_ready(ops),
        env={
            **_environment(ground, services),
            "PORT": str(port),
            "OPS_PORT": str(ops),
            "LOG_LEVEL": "info" if name.endswith("logged") else "warning",
            # Else Redis is asked for many at once, as of any limit of 100/minute and more.
            "LIMIT_LEASES": "false" if name.endswith("exact") else "true",
            "PYTHONPATH": f"{tree}{os.pathsep}{packages}",
            "PYTHONSAFEPATH": "1",  # else the modules of the current folder come first
        },
        tested=True,
    )
    return port, program


def _environment(ground: Ground, services: str) -> dict[str, str]:
    edges = {}
    for name in _SERVICES:
        edges[f"{name.upper()}_URL"] = services
        edges[f"ASSERTION_SECRETS_TO_{name.upper()}"] = _secret()
    routes = ground.from_template(
        "routes.toml", upstream=local(ground.upstream), leased=LEASED, exact=EXACT
    )
    return {
        **edges,
        "CSRF_KEYS": _secret(),
        "PUBLIC_BASE_URL": ISSUER,
        "AUDIENCE": AUDIENCE,
        "REDIS_URL": ground.redis_url,
        "ROUTES_FILE": str(routes),
    }


def _start_stand_in(ground: Ground) -> str:
    """Start what answers for token and audit; return its address."""
    port = free_port()
    keys = [ground.keys[name].jwk for name in ("rs256", "es256")]
    jwks = ground.stage.write("jwks.json", json.dumps({"keys": keys}))
    ground.stage.start(
        "stand-in",
        [sys.executable, "-m", "bench.gateway.stand_in", str(port), str(jwks)],
        ready=lambda: answers(local(port)),
        env={"PYTHONPATH": str(ROOT)},
    )
    return local(port)


def _is_ready(ops: int) -> bool:
    try:
        answer = httpx.get(f"{local(ops)}/health/ready", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.is_success


def _secret() -> str:
    return b64encode(secrets.token_bytes(32))
