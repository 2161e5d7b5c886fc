"""A real SMTP server for tests: aiosmtpd in a thread of its own, with scripted refusals."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from uuid import UUID

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from chassis.processes import free_port
from services.notify.transports import Mail, Originator
from services.notify.transports.smtp import SmtpTransport

Answer = Callable[[SMTP], str]


@dataclass(frozen=True)
class Received:
    """One mail as it came over the wire; `taken` says whether the server promised to deliver it."""

    recipients: tuple[str, ...]
    content: bytes
    encrypted: bool
    taken: bool

    @property
    def message(self) -> EmailMessage:
        """Return the parsed mail."""
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


def say(answer: str) -> Answer:
    """Answer with this line."""
    return lambda _server: answer


def hang_up(server: SMTP) -> str:
    """Drop the connection without an answer."""
    assert isinstance(server.transport, asyncio.WriteTransport)
    server.transport.abort()
    return "250 never arrives"


class SmtpSink:
    """Takes every mail, unless `rcpt`, `data` or `quit` hold other answers (used up in order)."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, port: int | None = None) -> None:
        self.port = port or free_port()
        self.received: list[Received] = []
        self.rcpt: list[Answer] = []
        self.data: list[Answer] = []
        self.quit: list[Answer] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self._tls = tls
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listen on 127.0.0.1."""
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            authenticator=self._log_in,
        )
        self._controller.start()

    def stop(self) -> None:
        """Stop listening, if it listens."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def _log_in(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        """Let everybody in who speaks TLS (aiosmtpd offers AUTH to nobody else)."""
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=True)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Accept a recipient, or answer as planned."""
        if self.rcpt:
            return self.rcpt.pop(0)(server)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take the mail, or answer as planned."""
        answer = self.data.pop(0)(server) if self.data else "250 OK"
        content: Any = envelope.content
        self.received.append(
            Received(
                recipients=tuple(envelope.rcpt_tos),
                content=content,
                encrypted=session.ssl is not None,
                taken=answer.startswith("250"),
            )
        )
        return answer

    async def handle_QUIT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, _envelope: Envelope
    ) -> str:
        """Say goodbye, or answer as planned."""
        return self.quit.pop(0)(server) if self.quit else "221 Bye"


MAIL = Mail(
    id=UUID(int=7),
    message_id="<7@gatehouse.example>",
    sender=Originator("Gatehouse", "no-reply@gatehouse.example"),
    recipient="ada@example.org",
    subject="Confirm your e-mail address",
    text="Hello,\n\nhttps://id.example/verify-email#token=abc%3D\n.\nénd\n",
    html="<p>Hello</p>\n",
    date=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


def transport(sink: SmtpSink, **changes: Any) -> SmtpTransport:
    """Return the way to *sink*, without TLS unless changed."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": sink.port,
        "security": "none",
        "credentials": None,
        "ca_file": None,
        "local_hostname": "id.example",
        "timeout": timedelta(seconds=10),
    }
    return SmtpTransport(**(values | changes))
