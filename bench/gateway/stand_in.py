"""A stand-in for token and audit: the keys of the bench, nothing revoked, nobody blocked.

python -m bench.gateway.stand_in PORT JWKS_FILE
"""

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import JSON_TYPE
from contracts.internal import (
    IP_BLOCKS_PATH,
    JWKS_PATH,
    REVOCATIONS_PATH,
    IpBlockList,
    RevocationPage,
)

_NOTHING_REVOKED = RevocationPage(entries=(), cursor="0", complete=True).model_dump_json()
_NOBODY_BLOCKED = IpBlockList(revision="none", blocks=()).model_dump_json()


def build(jwks: str) -> Starlette:
    """Build it."""
    answers = {
        JWKS_PATH: jwks,
        REVOCATIONS_PATH: _NOTHING_REVOKED,
        IP_BLOCKS_PATH: _NOBODY_BLOCKED,
    }

    async def answer(request: Request) -> Response:
        return Response(answers[request.url.path], media_type=JSON_TYPE)

    return Starlette(routes=[Route(path, answer) for path in answers])


if __name__ == "__main__":
    uvicorn.run(
        build(Path(sys.argv[2]).read_text(encoding="utf-8")),
        port=int(sys.argv[1]),
        log_level="warning",
    )
