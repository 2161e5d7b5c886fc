"""The log over HTTP."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from chassis.http import query, respond
from chassis.middleware import caller_of
from services.audit.domain.entries import Entry
from services.audit.schemas.log import (
    ExportQuery,
    ListQuery,
    OwnExportQuery,
    csv_header,
    csv_lines,
    ndjson,
)
from services.audit.service.reading import Reading

_Pages = AsyncIterator[Sequence[Entry]]


def routes(reading: Reading) -> list[Route]:
    """Return the routes of the log."""

    async def list_entries(request: Request) -> Response:
        asked = query(request, ListQuery)
        page = await reading.list_entries(
            caller_of(request), asked.filters(), after=asked.after(), limit=asked.limit
        )
        cursor = page.next_cursor.encode() if page.next_cursor else None
        items = [entry.shown() for entry in page.entries]
        return respond({"items": items, "next_cursor": cursor})

    async def get_entry(request: Request) -> Response:
        event_id: UUID = request.path_params["event_id"]
        return respond((await reading.get_entry(caller_of(request), event_id)).shown())

    async def export(request: Request) -> Response:
        asked = query(request, ExportQuery)
        pages = await reading.export(caller_of(request), asked.filters())
        return _download(pages, asked.format, "audit-log")

    async def export_own(request: Request) -> Response:
        asked = query(request, OwnExportQuery)
        return _download(await reading.export_own(caller_of(request)), asked.format, "my-events")

    return [
        Route("/api/v1/admin/audit", list_entries, methods=["GET"]),
        Route("/api/v1/admin/audit/export", export, methods=["GET"]),
        Route("/api/v1/admin/audit/{event_id:uuid}", get_entry, methods=["GET"]),
        Route("/api/v1/users/me/export", export_own, methods=["GET"]),
    ]


def _download(pages: _Pages, form: Literal["ndjson", "csv"], name: str) -> Response:
    content, media_type = {
        "ndjson": (_as_ndjson(pages), "application/x-ndjson"),
        "csv": (_as_csv(pages), "text/csv; charset=utf-8; header=present"),
    }[form]
    disposition = f'attachment; filename="{name}.{form}"'
    return StreamingResponse(
        content, media_type=media_type, headers={"Content-Disposition": disposition}
    )


async def _as_ndjson(pages: _Pages) -> AsyncIterator[bytes]:
    async for entries in pages:
        yield ndjson(entries)


async def _as_csv(pages: _Pages) -> AsyncIterator[bytes]:
    yield csv_header()
    async for entries in pages:
        yield csv_lines(entries)
