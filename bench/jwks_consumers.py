"""Those who verify tokens on their own: with a JWKS they keep as long as they are told, no shorter.

None of them fetches anew because a `kid` is unknown, as many clients would: a key that signs before
it is known to everybody fails here.
"""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt

_MAX_AGE = re.compile(r"max-age=([0-9]+)")

Fetch = Callable[[], Awaitable["Document"]]


@dataclass(frozen=True, slots=True)
class Document:
    """A JWKS, and for how many seconds it may be kept."""

    keys: list[dict[str, Any]]
    max_age: int


@dataclass(slots=True)
class Cache:
    """Keeps what *fetch* gives for its whole time, counted from the moment it came."""

    fetch: Fetch
    _document: Document | None = None
    _until: float = 0.0

    async def __call__(self) -> Document:
        """Return the document, fetched anew only when its time is over."""
        if self._document is None or time.monotonic() >= self._until:
            self._document = await self.fetch()
            self._until = time.monotonic() + self._document.max_age
        return self._document


@dataclass(frozen=True, slots=True)
class Origin:
    """The JWKS as the gateway serves it."""

    http: aiohttp.ClientSession
    base_url: str

    async def __call__(self) -> Document:
        """Fetch it."""
        async with self.http.get(f"{self.base_url}/.well-known/jwks.json") as answer:
            answer.raise_for_status()
            told = _MAX_AGE.search(answer.headers["Cache-Control"])
            document = await answer.json(content_type=None)
            return Document(document["keys"], int(told[1]) if told else 0)


@dataclass(slots=True)
class Consumer:
    """Verifies access tokens with PyJWT alone; `failures` says what went wrong, by token."""

    source: Fetch
    issuer: str
    audience: str = "gatehouse"
    verified: int = 0
    failures: list[str] = field(default_factory=list)

    async def verify(self, token: str) -> bool:
        """Verify one token that is valid, and say whether it could be."""
        kid = jwt.get_unverified_header(token)["kid"]
        found = [key for key in (await self.source()).keys if key["kid"] == kid]
        try:
            self._decode(token, found)
        except jwt.InvalidTokenError as error:
            self.failures.append(f"{kid}: {error}")
            return False
        self.verified += 1
        return True

    def _decode(self, token: str, keys: list[dict[str, Any]]) -> None:
        if not keys:
            raise jwt.InvalidTokenError("unknown kid")
        jwt.decode(
            token,
            jwt.PyJWK(keys[0]),
            algorithms=["ES256", "EdDSA", "RS256"],
            audience=self.audience,
            issuer=self.issuer,
        )


def consumers(origin: Origin, *, number: int) -> list[Consumer]:
    """Return *number* consumers, every second one behind a cache that they all share.

    One behind the cache may so know the JWKS of twice its age.
    """
    shared = Cache(origin)
    sources = (shared if index % 2 else origin for index in range(number))
    return [Consumer(Cache(source), origin.base_url) for source in sources]
