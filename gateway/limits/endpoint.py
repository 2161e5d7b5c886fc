"""Where Redis is, and what is said there first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_PORT = 6379


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server's address; *path* is that of a Unix socket.

    `greeting` are the commands that have to succeed before any other.
    """

    host: str
    port: int
    path: str | None
    tls: SSLContext | None = field(repr=False)
    greeting: Sequence[tuple[str, ...]] = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Read `redis://`, `rediss://` or `unix://` as redis-py does. Raises ValueError.

        All else that redis-py takes from a query, but for `db` and what begins with `ssl_`, is
        about its own pools, and not heeded.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("REDIS_URL: the scheme must be redis, rediss or unix")
        unix = parts.scheme == "unix"
        return cls(
            host=unquote(parts.hostname or "localhost"),
            port=parts.port or _PORT,
            path=unquote(parts.path) if unix else None,
            tls=_tls(url) if parts.scheme == "rediss" else None,
            greeting=tuple(_greeting(parts)),
        )


def _greeting(parts: SplitResult) -> Sequence[tuple[str, ...]]:
    commands: list[tuple[str, ...]] = []
    if parts.password:
        user = [unquote(parts.username)] if parts.username else []
        commands.append(("AUTH", *user, unquote(parts.password)))
    in_path = "" if parts.scheme == "unix" else parts.path.strip("/")
    database = dict(parse_qsl(parts.query)).get("db", in_path)
    if database not in ("", "0"):
        commands.append(("SELECT", str(int(database))))
    return commands


def _tls(url: str) -> SSLContext:
    """Return what the `ssl_…` options of *url* ask for, and by default a verified certificate."""
    # Six MiB that only those need who have TLS.
    from redis.asyncio.connection import SSLConnection, parse_url  # noqa: PLC0415 - as said above

    told: dict[str, Any] = dict(parse_url(url))
    options = {name: value for name, value in told.items() if name.startswith("ssl_")}
    return SSLConnection(**options).ssl_context.get()
