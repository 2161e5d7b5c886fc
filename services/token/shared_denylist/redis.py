"""The client of the shared deny list: every call within its time, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from contracts.denylist import FILLED_KEY, denied_key
from services.token.domain.revocations import Revocation

FILLED_FOR = timedelta(seconds=60)
"""How long a filling counts: a server that came back with old data has all again by then."""

_TIMEOUT_SECONDS = 1.0
_AT_ONCE = 500
_MILLISECOND = timedelta(milliseconds=1)
_SCRIPT = Path(__file__).with_name("write.lua")


class SharedDenyListUnavailable(Exception):  # noqa: N818 - a state of the world
    """Redis cannot be reached, or does not take what it is given."""


class SharedDenyList:
    """Writes entries, each of which lasts as long as it has to; *timeout* is in seconds."""

    def __init__(self, redis: Redis, *, timeout: float = _TIMEOUT_SECONDS) -> None:
        self._redis = redis
        self._timeout = timeout
        self._script = redis.register_script(_SCRIPT.read_text(encoding="utf-8"))

    @classmethod
    def from_url(cls, url: str, *, timeout: float = _TIMEOUT_SECONDS) -> Self:
        """Connect to *url*, lazily."""
        redis: Redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        return cls(redis, timeout=timeout)

    async def write(self, entries: Sequence[Revocation], *, now: datetime) -> bool:
        """Add *entries*; say whether all that was there before still is.

        An entry that is there already can only become stricter. Raises SharedDenyListUnavailable.
        """
        filled = True
        for start in range(0, max(1, len(entries)), _AT_ONCE):
            keys, arguments = [FILLED_KEY], list[str | int]()
            for entry in entries[start : start + _AT_ONCE]:
                life = (entry.revoked_until - now) // _MILLISECOND
                if life > 0:
                    keys.append(denied_key(entry.kind, entry.value))
                    arguments += [entry.below_version or 1, life]
            async with self._in_time():
                filled = bool(await self._script(keys=keys, args=arguments)) and filled
        return filled

    async def mark_filled(self) -> None:
        """Say that everything is there. Raises SharedDenyListUnavailable."""
        async with self._in_time():
            await self._redis.set(FILLED_KEY, 1, px=FILLED_FOR)

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except (RedisError, TimeoutError, OSError) as error:
            raise SharedDenyListUnavailable(type(error).__name__) from error
