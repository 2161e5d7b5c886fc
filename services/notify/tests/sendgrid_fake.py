"""A local stand-in for SendGrid's v3 Mail Send API: real HTTP on a free port.

Written from SendGrid's public documentation alone (the pages "Mail Send", "Mail Send: Errors",
"Responses" and "Rate Limits" of its API reference): it has never been compared with the real
service. It refuses what the documentation says is refused and answers in the documented form.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

PATH = "/v3/mail/send"
KEY = "SG.canary-key.for_tests-only"

_RESERVED = frozenset(
    [
        "x-sg-id",
        "x-sg-eid",
        "received",
        "dkim-signature",
        "content-type",
        "content-transfer-encoding",
        "to",
        "from",
        "subject",
        "reply-to",
        "cc",
        "bcc",
    ]
)
_KNOWN = frozenset(
    [
        "personalizations",
        "from",
        "reply_to",
        "reply_to_list",
        "subject",
        "content",
        "attachments",
        "template_id",
        "headers",
        "categories",
        "custom_args",
        "send_at",
        "batch_id",
        "asm",
        "ip_pool_name",
        "mail_settings",
        "tracking_settings",
    ]
)
_TRACKING = frozenset(("click_tracking", "open_tracking", "subscription_tracking", "ganalytics"))

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Posted:
    """One request as it came over the wire."""

    headers: Mapping[str, str]
    document: dict[str, Any]


def refuse(
    status: int,
    *,
    fields: tuple[str | None, ...] = (None,),
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer with an error of the documented form, quoting the key as a careless server might."""
    errors = [{"message": f"refused {KEY}", "field": field, "help": None} for field in fields]

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"errors": errors}, status=status, headers=headers)

    return answer


def raw(status: int, body: bytes) -> Answer:
    """Answer with these bytes."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Drop the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def never(_request: web.Request) -> web.StreamResponse:
    """Keep the caller waiting until he gives up."""
    await asyncio.Event().wait()
    return web.Response()


class FakeSendGrid:
    """Takes what the documentation allows, unless `answers` holds others (used up in order)."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.accepted: list[Posted] = []
        self.answers: list[Answer] = []
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Return where it takes mails."""
        return f"http://127.0.0.1:{self._port}{PATH}"

    async def start(self) -> None:
        """Listen on 127.0.0.1, after a stop on the same port again."""
        app = web.Application()
        app.router.add_post(PATH, self._take)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, if it listens."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return await refuse(401)(request)
        if request.content_type != "application/json":
            return await refuse(415)(request)
        posted = Posted(dict(request.headers), json.loads(body))
        self.posted.append(posted)
        if self.answers:
            return await self.answers.pop(0)(request)
        wrong = tuple(_wrong_fields(posted.document))
        if wrong:
            return await refuse(400, fields=wrong)(request)
        self.accepted.append(posted)
        return web.Response(status=202, headers={"X-Message-Id": f"fake-{len(self.accepted)}"})


def _wrong_fields(document: dict[str, Any]) -> Iterator[str]:
    """Name what the documentation forbids, as its errors do."""
    yield from sorted(document.keys() - _KNOWN)
    people = document.get("personalizations", [])
    if not 1 <= len(people) <= 1000:
        yield "personalizations"
    for person in people:
        if not person.get("to") or any("@" not in one.get("email", "") for one in person["to"]):
            yield "personalizations.0.to"
    if "@" not in document.get("from", {}).get("email", ""):
        yield "from.email"
    if not document.get("subject"):
        yield "subject"
    yield from _wrong_content(document.get("content", []))
    yield from _wrong_extras(document)


def _wrong_content(content: list[dict[str, str]]) -> Iterator[str]:
    if [part.get("type") for part in content] not in (
        ["text/plain"],
        ["text/html"],
        ["text/plain", "text/html"],
    ):
        yield "content"
    if any(not part.get("value") for part in content):
        yield "content.value"


def _wrong_extras(document: dict[str, Any]) -> Iterator[str]:
    for name, value in document.get("headers", {}).items():
        if name.lower() in _RESERVED or not isinstance(value, str) or not name.isascii():
            yield f"headers.{name}"
    arguments = document.get("custom_args", {})
    if any(not isinstance(value, str) for value in arguments.values()):
        yield "custom_args"
    if len(json.dumps(arguments)) > 10_000:
        yield "custom_args"
    settings = document.get("tracking_settings", {})
    yield from (f"tracking_settings.{name}" for name in sorted(settings.keys() - _TRACKING))
    for name, setting in settings.items():
        if not isinstance(setting.get("enable"), bool):
            yield f"tracking_settings.{name}.enable"
