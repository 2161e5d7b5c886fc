"""One mailbox port for both shapes: the local inbox over HTTP, or a real SMTP sink."""

import email
import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from typing import Any, Protocol
from urllib.parse import unquote

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from chassis.processes import free_port
from chassis.testing import eventually

_LINK = re.compile(r"https?://[^\s\"'<>]+")


@dataclass(frozen=True)
class Mail:
    """One mail as its reader sees it."""

    to: str
    subject: str
    text: str
    links: tuple[str, ...]

    @property
    def token(self) -> str:
        """Return the one-time token of the first link that carries one."""
        for link in self.links:
            _, mark, token = link.partition("#token=")
            if mark:
                return unquote(token)
        raise AssertionError(f"no link with a token in {self.subject!r}")


class Mailbox(Protocol):
    """Where mails arrive."""

    async def mails(self, to: str) -> list[Mail]:
        """Return the mails to one address, the newest first."""
        ...


class LocalInbox:
    """The development inbox of the all-in-one mode."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/dev/inbox/messages"

    async def mails(self, to: str) -> list[Mail]:
        """Return the mails to one address, the newest first."""
        async with httpx.AsyncClient(timeout=10) as client:
            response = await client.get(self._url, params={"to": to})
        response.raise_for_status()
        return [
            Mail(item["to"], item["subject"], item["text"], tuple(item["links"]))
            for item in response.json()
        ]


class SmtpSink:
    """A real SMTP server (aiosmtpd) that keeps what it is given; `port` is free and its own."""

    def __init__(self) -> None:
        self._received: list[Mail] = []
        self.port = free_port()
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listen in a thread of its own; what was received before `stop` is kept."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Stop listening, if it does."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep one mail."""
        assert isinstance(envelope.content, bytes)
        message: Any = email.message_from_bytes(envelope.content, policy=default)
        self._received.append(_read(message, envelope.rcpt_tos[0]))
        return "250 kept"

    async def mails(self, to: str) -> list[Mail]:
        """Return the mails to one address, the newest first."""
        return [mail for mail in reversed(self._received) if mail.to == to]


async def wait_for_mail(mailbox: Mailbox, to: str, *, containing: str) -> Mail:
    """Wait for a mail to *to* with *containing* in its subject or text; return the newest."""

    async def arrived() -> Mail | None:
        for mail in await mailbox.mails(to):
            if containing.lower() in f"{mail.subject} {' '.join(mail.links)}".lower():
                return mail
        return None

    return await eventually(arrived, within=20)


def _read(message: EmailMessage, to: str) -> Mail:
    part = message.get_body(("plain",))
    text: str = part.get_content() if part else ""
    return Mail(to, str(message["Subject"]), text, tuple(_LINK.findall(text)))
