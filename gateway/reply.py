"""The way back of a request: what the gateway adds to an answer, whoever gives it."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from contracts.denials import REASONS, REPORT_HEADER
from gateway.browser.answers import SessionAnswers
from gateway.browser.mode import Credentials
from gateway.routing.table import Route

_NOBODY = Credentials()


class Reply:
    """Sends an answer, and adds headers to it unless the upstream wrote them itself."""

    def __init__(self, send: Send, answers: SessionAnswers) -> None:
        self._send = send
        self._answers = answers
        self._route: Route | None = None
        self._credentials = _NOBODY
        self._headers: dict[bytes, bytes] = {}
        self._varies: dict[str, None] = {}
        self.started = False
        self.report: str | None = None
        """What the service behind wants told of its refusal."""

    def add(self, headers: Mapping[str, str]) -> None:
        """Let the answer carry *headers*."""
        for name, value in headers.items():
            if name == "Vary":
                self._varies.update(dict.fromkeys(value.split(", ")))
            else:
                self._headers[name.lower().encode()] = value.encode()

    def expect(self, route: Route, credentials: Credentials) -> None:
        """Say what was asked, so that a session in the answer becomes cookies."""
        self._route, self._credentials = route, credentials

    async def __call__(self, message: Message) -> None:
        """Send one message."""
        if message["type"] == "http.response.start":
            self._complete(message)
            self.started = True
        await self._send(message)

    def _complete(self, message: Message) -> None:
        raw = message["headers"] = list(message["headers"])
        if self._answers.concern(raw, self._credentials):
            headers = MutableHeaders(raw=raw)
            self.report = _report_of(headers, self._route)
            self._answers.finish(message["status"], headers, self._route, self._credentials)
        if self._headers:
            said = {name for name, _ in raw}
            raw += [header for header in self._headers.items() if header[0] not in said]
        if self._varies:
            MutableHeaders(raw=raw).add_vary_header(", ".join(self._varies))


def _report_of(headers: Mapping[str, str], route: Route | None) -> str | None:
    """Return the reason that one of our own services wants reported; products have no say."""
    reason = headers.get(REPORT_HEADER)
    ours = route is not None and route.upstream is not None and route.upstream.service
    return reason if ours and reason in REASONS else None
