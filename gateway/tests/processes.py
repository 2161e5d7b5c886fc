"""The gateway as processes of its own, between small services of the test."""

import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from chassis.crypto import b64encode
from chassis.processes import Child, free_port
from chassis.testing import eventually
from gateway.tests.signing import ISSUER, Subject, access_token
from gateway.tests.upstreams import AuditService, Echo, TokenService, secret_of, serving
from gateway.tests.world import PRODUCT_ROUTES, Answer

_COMMAND = [sys.executable, "-m", "gateway"]
# Processes that start share the machine with it: it may take its time.
_PATIENT = PRODUCT_ROUTES.replace("read_timeout = 1\n", "read_timeout = 20\n")
_STARTED = re.compile(r'"worker": (\d+), "pid": (\d+), "event": "worker.started"')


@dataclass
class Processes:
    """A gateway of several processes, and what stands around it."""

    token: TokenService
    shop: Echo
    child: Child
    port: int
    ops_port: int
    routes: Path

    def bearer(self, subject: Subject, **claims: Any) -> dict[str, str]:
        """Return the header with an access token of *subject*."""
        return {"Authorization": f"Bearer {access_token(self.token.keys[-1], subject, **claims)}"}

    async def ask(self, target: str, *, port: int | None = None, **options: Any) -> Answer:
        """Send one GET on a connection of its own."""
        url = URL(f"http://127.0.0.1:{port or self.port}{target}", encoded=True)
        async with (
            aiohttp.ClientSession() as client,
            client.get(url, allow_redirects=False, **options) as response,
        ):
            return Answer(response.status, response.headers, await response.read())

    async def ready(self) -> bool:
        """Say whether the ops port says ready."""
        with suppress(aiohttp.ClientError):
            return (await self.ask("/health/ready", port=self.ops_port)).status == 200
        return False

    async def port_open(self, port: int) -> bool:
        """Say whether somebody listens on *port*."""
        with suppress(aiohttp.ClientError):
            return (await self.ask("/", port=port)).status > 0
        return False

    async def samples(self, name: str, **labels: str) -> dict[str, float]:
        """Return the values of a metric by worker; without one under the empty name."""
        text = (await self.ask("/metrics", port=self.ops_port)).body.decode()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    worker = sample.labels.get("worker", "")
                    found[worker] = found.get(worker, 0) + sample.value
        return found

    def pids(self) -> dict[str, int]:
        """Return the process ids of the workers as the log last told them."""
        return {worker: int(pid) for worker, pid in _STARTED.findall(self.child.output())}


def is_alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@asynccontextmanager
async def processes(
    tmp_path: Path, *, wait_ready: bool = True, routes: str = _PATIENT, **environ: str
) -> AsyncIterator[Processes]:
    """Start the services and `python -m gateway` with *environ* besides what it needs."""
    token, shop = TokenService(), Echo()
    others = {"identity": Echo("identity"), "notify": Echo("notify"), "audit": AuditService()}
    async with serving(token=token, shop=shop, **others) as urls:
        file = tmp_path / "routes.toml"
        file.write_text(routes.format(shop=urls["shop"]))
        port, ops_port = free_port(), free_port()
        env = _environ(urls) | {"PORT": str(port), "OPS_PORT": str(ops_port)}
        env |= {"ROUTES_FILE": str(file), "STATE_DIR": str(tmp_path / "state")} | environ
        child = Child(_COMMAND, log=tmp_path / "log", env=env, death_signal=signal.SIGKILL)
        running = Processes(token, shop, child, port, ops_port, file)
        try:
            if wait_ready:
                await eventually(running.ready, within=60)
            yield running
        finally:
            child.kill()
            await eventually(lambda: not any(map(is_alive, running.pids().values())), within=20)


def _environ(urls: dict[str, str]) -> dict[str, str]:
    environ = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "development",
        "PUBLIC_BASE_URL": ISSUER,
        "CSRF_KEYS": b64encode(secret_of("csrf")),
        "MAX_OPEN_REQUESTS_PER_ADDRESS": "100000",
        "RATE_LIMIT_ACCOUNT": "1000000/minute",
    }
    for name in ("identity", "token", "notify", "audit"):
        environ[f"{name.upper()}_URL"] = urls[name]
        environ[f"ASSERTION_SECRETS_TO_{name.upper()}"] = b64encode(secret_of(name))
    return environ
