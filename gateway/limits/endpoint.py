"""Where Redis is, and what is said there first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Self

from redis.asyncio.connection import SSLConnection, parse_url

_PORT = 6379


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server's address, taken from a URL as redis-py reads it; *path* is that of a Unix socket.

    `greeting` are the commands that have to succeed before any other.
    """

    host: str
    port: int
    path: str | None
    tls: SSLContext | None = field(repr=False)
    greeting: Sequence[tuple[str, ...]] = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Read `redis://`, `rediss://` (with `ssl_…` options) or `unix://`. Raises ValueError."""
        options: dict[str, Any] = dict(parse_url(url))
        secure = options.pop("connection_class", None) is SSLConnection
        greeting = []
        if "password" in options:
            user = [options["username"]] if "username" in options else []
            greeting.append(("AUTH", *user, options["password"]))
        if options.get("db"):
            greeting.append(("SELECT", str(options["db"])))
        return cls(
            host=options.get("host", "localhost"),
            port=options.get("port", _PORT),
            path=options.get("path"),
            tls=SSLConnection(**options).ssl_context.get() if secure else None,
            greeting=greeting,
        )
