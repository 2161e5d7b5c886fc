"""HAProxy and nginx, each one process on one core."""

from collections.abc import Mapping

from bench.gateway.ground import Ground, System, fill
from bench.gateway.rows import LIMIT, REFERENCE, Row
from bench.gateway.stage import answers, local
from bench.gateway.tokens import AUDIENCE, ISSUER
from chassis.processes import free_port

_CHECKED = {REFERENCE: "rs256-2048", "haproxy-3072": "rs256"}


def start_haproxy(ground: Ground, rows: Mapping[str, Row]) -> list[System]:
    """Start one process for all of its rows: they are never loaded at the same time."""
    ports = {name: free_port() for name in ("plain-haproxy", *_CHECKED)}
    frontends = [
        fill(
            "haproxy_frontend.cfg",
            name=key.replace("-", "_"),
            port=ports[name],
            issuer=ISSUER,
            audience=AUDIENCE,
            public_key=ground.public_key(key),
            limit=LIMIT,
        )
        for name, key in _CHECKED.items()
    ]
    plain = ports["plain-haproxy"]
    path = ground.from_template(
        "haproxy.cfg", plain=plain, checked="".join(frontends), upstream=ground.upstream
    )
    program = ground.stage.start(
        "haproxy",
        ["haproxy", "-db", "-f", str(path)],
        ready=lambda: answers(local(plain)),
        tested=True,
    )
    return [ground.system(rows[name], ports[name], program) for name in ports if name in rows]


def start_nginx(ground: Ground, rows: Mapping[str, Row]) -> list[System]:
    """Start the one that only forwards."""
    port = free_port()
    path = ground.from_template("nginx.conf", port=port, upstream=ground.upstream)
    program = ground.stage.start(
        "nginx",
        ["nginx", "-p", str(ground.stage.folder), "-c", str(path)],
        ready=lambda: answers(local(port)),
        tested=True,
    )
    return [ground.system(row, port, program) for row in rows.values()]
