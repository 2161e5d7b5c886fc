"""What proxies ask the gateway about requests: the bytes that each of them sends."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from gateway.tests.upstreams import listening
from gateway.tests.world import PRODUCT_ROUTES, World
from gateway.tests.world import world as start_world

HOST = "reports.example.com"
CLIENT = "203.0.113.7"
ROUTES = """
[[route]]
path = "/reports/{{rest...}}"
methods = ["GET", "POST"]
hosts = ["reports.example.com", "other.example.com:8443"]
upstream = "forward-auth"
access = "user"

[[route]]
path = "/"
methods = ["GET"]
hosts = ["reports.example.com"]
upstream = "forward-auth"
access = "public"

[[route]]
path = "/{{rest...}}"
methods = ["GET"]
hosts = ["open.example.com"]
upstream = "forward-auth"
access = "optional"

[[route]]
path = "/admin/{{rest...}}"
methods = ["GET"]
hosts = ["reports.example.com"]
upstream = "forward-auth"
access = ["admin"]

[[route]]
path = "/few"
methods = ["GET"]
hosts = ["reports.example.com"]
upstream = "forward-auth"
access = "user"
limits = ["2/hour"]
"""


@dataclass(frozen=True)
class Told:
    """What the proxy is told."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """Return the code of the problem; None where there is none."""
        return json.loads(self.body)["code"] if self.body else None


@dataclass
class Request:
    """What a client asks of a proxy."""

    method: str = "GET"
    target: str = "/reports/7?page=2"
    host: str = HOST
    scheme: str = "https"
    client: str = CLIENT
    headers: dict[str, str] = field(default_factory=dict)


def traefik(asked: Request) -> bytes:
    """Return the question of Traefik's ForwardAuth."""
    return _lines(
        "GET /forward-auth HTTP/1.1",
        {
            "Host": "gateway:9100",
            "User-Agent": "curl/8",
            **asked.headers,
            "X-Forwarded-For": asked.client,
            "X-Forwarded-Host": asked.host,
            "X-Forwarded-Method": asked.method,
            "X-Forwarded-Port": "443",
            "X-Forwarded-Proto": asked.scheme,
            "X-Forwarded-Uri": asked.target,
            "Accept-Encoding": "gzip",
        },
    )


def nginx(asked: Request) -> bytes:
    """Return the question of nginx' auth_request, configured as docs/operations.md says."""
    return _lines(
        "GET /forward-auth HTTP/1.0",
        {
            "X-Original-Method": asked.method,
            "X-Original-URL": f"{asked.scheme}://{asked.host}{asked.target}",
            "X-Forwarded-For": asked.client,
            "Host": "gateway:9100",
            "Connection": "close",
            "User-Agent": "curl/8",
            **asked.headers,
        },
    )


def envoy(asked: Request) -> bytes:
    """Return the question of Envoy's ext_authz with `path_prefix: /forward-auth`."""
    return _lines(
        f"{asked.method} /forward-auth{asked.target} HTTP/1.1",
        {
            "host": asked.host,
            "content-length": "0",
            **{name.lower(): value for name, value in asked.headers.items()},
            "x-forwarded-for": asked.client,
            "x-forwarded-proto": asked.scheme,
            "x-envoy-internal": "true",
        },
    )


def _lines(first: str, headers: Mapping[str, str]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


Ask = Callable[[Request], bytes]


@dataclass
class Door:
    """The port that proxies ask at, and the gateway behind it."""

    world: World
    address: tuple[str, int]

    async def send(self, question: bytes, *, source: str = "127.0.0.1") -> Told:
        """Send a question from *source* and return the answer."""
        reader, writer = await asyncio.open_connection(*self.address, local_addr=(source, 0))
        try:
            writer.write(question)
            async with asyncio.timeout(10):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip().split("\r\n")
                headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
                method = question.partition(b" ")[0]
                length = 0 if method == b"HEAD" else int(headers.get("content-length", 0))
                body = await reader.readexactly(length)
        finally:
            writer.close()
        return Told(int(first.split()[1]), headers, body)

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric."""
        return self.world.gateway.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def opened(tmp_path: Path, **settings: Any) -> AsyncIterator[Door]:
    """Open the door of a gateway that trusts 127.0.0.1."""
    routes = tmp_path / "own.toml"
    shop = PRODUCT_ROUTES.replace("{shop}", "http://127.0.0.1:1")
    routes.write_text((shop + ROUTES).format())
    given = {
        "routes_file": routes,
        "trusted_proxies": (ip_network("127.0.0.1/32"),),
        "forward_auth_port": 0,
        **settings,
    }
    async with start_world(tmp_path, **given) as world:
        (door,) = world.gateway.doors
        async with listening(door.app, door.protocol) as address:
            yield Door(world, address)
