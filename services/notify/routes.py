"""Notify over HTTP: the ledger for administrators and, in development, the local inbox."""

from http import HTTPStatus
from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chassis.http import query, respond
from chassis.middleware import caller_of
from services.notify.domain.contents import links_in
from services.notify.rendering import InboxPage
from services.notify.repository.inbox_messages import InboxMessage
from services.notify.repository.ledger import LedgerFilter
from services.notify.schemas import (
    InboxItem,
    InboxQuery,
    LedgerMessage,
    LedgerPage,
    LedgerQuery,
)
from services.notify.service.administration import Administration
from services.notify.service.development_inbox import DevelopmentInbox

_SHOWN_ON_PAGE = 50


def admin_routes(administration: Administration) -> list[Route]:
    """Return the routes of the mail ledger."""

    async def list_messages(request: Request) -> Response:
        wanted = query(request, LedgerQuery)
        filters = LedgerFilter(
            state=wanted.state,
            template=wanted.template,
            user_id=wanted.user_id,
            before=wanted.cursor,
        )
        found = await administration.list_messages(
            caller_of(request), filters, limit=wanted.limit + 1
        )
        page = found[: wanted.limit]
        items = tuple(LedgerMessage.of(message) for message in page)
        return respond(
            LedgerPage(items=items, next_cursor=page[-1].id if len(found) > len(page) else None)
        )

    async def resend(request: Request) -> Response:
        message_id: UUID = request.path_params["message_id"]
        message = await administration.resend(caller_of(request), message_id)
        return respond(LedgerMessage.of(message), HTTPStatus.ACCEPTED)

    return [
        Route("/api/v1/admin/messages", list_messages, methods=["GET"]),
        Route("/api/v1/admin/messages/{message_id:uuid}/resend", resend, methods=["POST"]),
    ]


def inbox_routes(inbox: DevelopmentInbox) -> list[Route]:
    """Return the routes of the development inbox."""
    page = InboxPage()

    async def list_messages(request: Request) -> Response:
        wanted = query(request, InboxQuery)
        messages = await inbox.list_messages(recipient=wanted.to)
        return respond([_item(message).model_dump(mode="json") for message in messages])

    async def show(request: Request) -> Response:
        wanted = query(request, InboxQuery)
        messages = await inbox.list_messages(recipient=wanted.to, limit=_SHOWN_ON_PAGE)
        return HTMLResponse(
            page.render(messages, recipient=wanted.to),
            headers={"Content-Security-Policy": page.content_security_policy},
        )

    return [
        Route("/dev/inbox", show, methods=["GET"]),
        Route("/dev/inbox/messages", list_messages, methods=["GET"]),
    ]


def _item(message: InboxMessage) -> InboxItem:
    return InboxItem(
        id=message.id,
        to=message.recipient,
        subject=message.subject,
        text=message.text,
        html=message.html,
        links=tuple(links_in(message.text)),
        received_at=message.received_at,
    )
