"""Where a server is, and how its name is found."""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple, Self
from urllib.parse import urlsplit

_REMEMBERED_SECONDS = 10.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port of a server; `authority` is what it is called in `Host`."""

    secure: bool
    host: str
    port: int
    authority: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the origin of an http(s) URL."""
        parts = urlsplit(url)
        host, default = parts.hostname or "", _DEFAULT_PORTS[parts.scheme]
        if not host.isascii():
            host = host.encode("idna").decode()
        authority = f"[{host}]" if ":" in host else host
        if parts.port not in (None, default):
            authority += f":{parts.port}"
        return cls(parts.scheme == "https", host, parts.port or default, authority)


class Names:
    """Looks names up, each once in ten seconds, whoever asks meanwhile."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, deque[str]]] = {}
        self._asked: dict[tuple[str, int], asyncio.Task[deque[str]]] = {}

    async def find(self, origin: Origin) -> Sequence[str]:
        """Return the IP addresses of an origin, each time another one first.

        Raises OSError (socket.gaierror) and UnicodeError for a name that leads nowhere.
        """
        if _is_literal(origin.host):
            return (origin.host,)
        key, now = (origin.host, origin.port), asyncio.get_running_loop().time()
        known = self._known.get(key)
        if known is None or now >= known[0]:
            found = await self._look_up(key)
            known = self._known[key] = (now + _REMEMBERED_SECONDS, found)
        known[1].rotate(-1)
        return tuple(known[1])

    async def _look_up(self, key: tuple[str, int]) -> deque[str]:
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(_resolve(*key))
            task.add_done_callback(lambda done: self._asked_for(key, done))
        # One who gives up does not take the answer away from the others.
        return await asyncio.shield(task)

    def _asked_for(self, key: tuple[str, int], done: asyncio.Task[deque[str]]) -> None:
        del self._asked[key]
        if not done.cancelled():
            done.exception()  # nobody may wait for it any more


async def _resolve(host: str, port: int) -> deque[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return deque(dict.fromkeys([str(entry[4][0]) for entry in found]))


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
