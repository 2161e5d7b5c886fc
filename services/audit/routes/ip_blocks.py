"""IP blocks over HTTP: for administrators, and for gateways."""

from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.clock import Clock
from chassis.http import query, read_json, respond
from chassis.middleware import caller_of
from contracts import internal
from services.audit.schemas.ip_blocks import (
    BlockPageView,
    BlockRequest,
    BlocksQuery,
    BlockView,
    RevisionQuery,
)
from services.audit.service.ip_blocks import BlockList, IpBlocks

_BLOCKS = "/api/v1/admin/ip-blocks"


def routes(blocks: IpBlocks, clock: Clock) -> list[Route]:
    """Return the routes of IP blocks."""
    endpoints = _Endpoints(blocks, clock)
    return [
        Route(_BLOCKS, endpoints.list_blocks, methods=["GET"]),
        Route(_BLOCKS, endpoints.block, methods=["POST"]),
        Route(f"{_BLOCKS}/{{block_id:uuid}}", endpoints.lift, methods=["DELETE"]),
        Route(internal.IP_BLOCKS_PATH, endpoints.read, methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class _Endpoints:
    blocks: IpBlocks
    clock: Clock

    async def list_blocks(self, request: Request) -> Response:
        asked = query(request, BlocksQuery)
        page = await self.blocks.list_blocks(
            caller_of(request), after=asked.cursor, address=asked.address, limit=asked.limit
        )
        items = tuple(BlockView.of(block) for block in page.blocks)
        return respond(BlockPageView(items=items, next_cursor=page.next_cursor))

    async def block(self, request: Request) -> Response:
        asked = await read_json(request, BlockRequest)
        made = await self.blocks.block(caller_of(request), asked.wanted(self.clock.now()))
        return respond(BlockView.of(made), HTTPStatus.CREATED)

    async def lift(self, request: Request) -> Response:
        block_id: UUID = request.path_params["block_id"]
        await self.blocks.lift(caller_of(request), block_id)
        return respond(None, HTTPStatus.NO_CONTENT)

    async def read(self, request: Request) -> Response:
        found = await self.blocks.read(query(request, RevisionQuery).revision)
        return respond(_as_list(found))


def _as_list(found: BlockList) -> internal.IpBlockList:
    if found.blocks is None:
        return internal.IpBlockList(revision=found.revision, blocks=None)
    shown = (
        internal.IpBlock(block_id=block.id, cidr=str(block.network), expires_at=block.expires_at)
        for block in found.blocks
    )
    return internal.IpBlockList(revision=found.revision, blocks=tuple(shown))
