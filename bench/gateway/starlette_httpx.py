"""The peer that is written in an afternoon: Starlette, httpx and PyJWT, one process.

    python -m bench.gateway.starlette_httpx PORT UPSTREAM PUBLIC_KEY_FILE ISSUER AUDIENCE LIMIT

Verifies every token, counts the requests of each user in the running minute, forwards.
"""

import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import jwt
import uvicorn
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_CONNECTIONS = 64
_MINUTE = 60


class Peer:
    """Forwards to *upstream* what a valid token comes with."""

    def __init__(
        self, upstream: str, key: bytes, *, issuer: str, audience: str, limit: int
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=upstream,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            ),
            trust_env=False,
        )
        self._key = load_pem_public_key(key)
        self._expected = {"issuer": issuer, "audience": audience}
        self._limit = limit
        self._counted: Counter[str] = Counter()
        self._minute = 0

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(routes=[Route("/{rest:path}", self._forward)], lifespan=self._running)

    @asynccontextmanager
    async def _running(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._client:
            yield

    async def _forward(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return Response(status_code=401)
        try:
            claims = jwt.decode(token, self._key, algorithms=["RS256"], **self._expected)  # type: ignore[arg-type] # a public key of whatever kind
        except jwt.InvalidTokenError:
            return Response(status_code=401)
        if self._is_over(claims["sub"]):
            return Response(status_code=429)
        answer = await self._client.get(request.url.path)
        return Response(
            answer.content, answer.status_code, media_type=answer.headers["content-type"]
        )

    def _is_over(self, user: str) -> bool:
        minute = int(time.monotonic() // _MINUTE)
        if minute != self._minute:
            self._minute = minute
            self._counted.clear()
        self._counted[user] += 1
        return self._counted[user] > self._limit


if __name__ == "__main__":
    _port, _upstream, _key_file, _issuer, _audience, _limit = sys.argv[1:]
    _peer = Peer(
        _upstream,
        Path(_key_file).read_bytes(),
        issuer=_issuer,
        audience=_audience,
        limit=int(_limit),
    )
    uvicorn.run(_peer.app(), port=int(_port), log_level="warning", access_log=False)
