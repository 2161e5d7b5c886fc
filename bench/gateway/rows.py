"""The systems that are compared, by the names of the command line."""

from collections.abc import Sequence
from dataclasses import dataclass

REFERENCE = "haproxy"
LIMIT = 600
"""Requests a minute that each user may make; nobody in this bench reaches it."""
EXACT = f"{LIMIT}/minute"
LEASED = f"{LIMIT * 10}/minute"


OTHER = "other "
"""What stands before the names of another working tree's systems."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    *tokens* names the file it is loaded with; *offered*: also measured at a fixed rate.
    """

    name: str
    about: str
    tokens: str = "rs256"
    offered: bool = True


ROWS = (
    Row(REFERENCE, "HAProxy: RS256 (2048 bits), limit per subject", tokens="rs256-2048"),
    Row("haproxy-3072", "HAProxy: RS256 (3072 bits, as below), limit per subject", offered=False),
    Row("plain-haproxy", "HAProxy, forwarding only"),
    Row("plain-nginx", "nginx, forwarding only"),
    Row("gatehouse-leased", f"Gatehouse, route of {LEASED}"),
    Row("gatehouse-exact", f"Gatehouse, route of {EXACT}, Redis asked each time"),
    Row("gatehouse-unlimited", "Gatehouse, route without limits"),
    Row("gatehouse-logged", f"Gatehouse, route of {LEASED}, access log"),
    Row(
        "gatehouse-new-rs256",
        f"Gatehouse, {LEASED}, each token new, RS256",
        tokens="new-rs256",
        offered=False,
    ),
    Row(
        "gatehouse-new-es256",
        f"Gatehouse, {LEASED}, each token new, ES256",
        tokens="new-es256",
        offered=False,
    ),
    Row("node", "fastify, http-proxy, jwt, rate-limit"),
    Row("starlette", "Starlette, httpx, PyJWT", offered=False),
)


def chosen(only: Sequence[str]) -> list[Row]:
    """Return the rows of these names, or of groups of names such as `gatehouse`; all for none."""
    rows = []
    for word in only:
        exact = [row for row in ROWS if row.name == word]
        found = exact or [row for row in ROWS if row.name.startswith(f"{word}-")]
        if not found:
            names = ", ".join(row.name for row in ROWS)
            raise SystemExit(f"{word!r} is none of {names}")
        rows += found
    return [row for row in ROWS if row in rows or not only]
