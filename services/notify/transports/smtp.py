"""Mail by SMTP (RFC 5321): one connection and one recipient per mail."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Literal, cast

import aiosmtplib

from services.notify.transports import (
    AUTO_SUBMITTED,
    DeliveryFailed,
    Mail,
    Originator,
    PermanentFailure,
    TemporaryFailure,
    TransportUnavailable,
)

Security = Literal["starttls", "tls", "none"]

PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}

_QUIT_SECONDS = 5.0
_PERMANENT = 500
_SHUTTING_DOWN = 421
# Everything beyond ASCII is encoded: no server needs 8BITMIME for our mails.
_POLICY = SMTP.clone(cte_type="7bit")


class SmtpTransport:
    """Hands mails to one SMTP server; *timeout* bounds a whole delivery.

    With `starttls` and `tls` the server's certificate is verified, against *ca_file* alone when
    given; a server that does not offer STARTTLS gets no mail. *headers* are added to every mail.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: Security,
        credentials: tuple[str, str] | None,
        ca_file: Path | None,
        local_hostname: str,
        timeout: timedelta,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._credentials = credentials
        self._local_hostname = local_hostname
        self._timeout = timeout.total_seconds()
        self._headers = {**AUTO_SUBMITTED, **(headers or {})}
        self._tls = None if security == "none" else ssl.create_default_context(cafile=ca_file)

    async def send(self, mail: Mail) -> None:
        """Deliver *mail* (see Transport).

        A 5xx to the recipient or the text is permanent, and so is an address no header can hold.
        Everything about the connection, the login or our own sender address is temporary, whatever
        its code: the mail is not at fault.
        """
        client = self._client()
        try:
            await self._deliver(client, mail)
            # The server has the mail: whatever happens to the farewell changes nothing.
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.execute_command(b"QUIT", timeout=_QUIT_SECONDS)
        finally:
            _hang_up(client)

    async def _deliver(self, client: aiosmtplib.SMTP, mail: Mail) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                with _named("connect"):
                    await client.connect()
                await _transfer(client, mail, self._headers)
        except TimeoutError:
            raise TransportUnavailable("timeout") from None

    def _client(self) -> aiosmtplib.SMTP:
        username, password = self._credentials or (None, None)
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=username,
            password=password,
            local_hostname=self._local_hostname,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=self._tls,
            timeout=self._timeout,
        )


def compose(mail: Mail, headers: Mapping[str, str] = AUTO_SUBMITTED) -> EmailMessage:
    """Return *mail* as RFC 5322 has it. Raises ValueError for line breaks in a header."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = _address(mail.sender)
    message["To"] = Address(addr_spec=mail.recipient)
    message["Subject"] = mail.subject
    message["Date"] = mail.date
    message["Message-ID"] = mail.message_id
    for name, value in headers.items():
        message[name] = value
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _address(sender: Originator) -> Address:
    return Address(display_name=sender.name, addr_spec=sender.address)


async def _transfer(client: aiosmtplib.SMTP, mail: Mail, headers: Mapping[str, str]) -> None:
    """Run one mail transaction (RFC 5321 §3.3)."""
    try:
        content = compose(mail, headers).as_bytes()
    except (ValueError, MessageError):
        # An address that reads like an encoded word (RFC 2047) fits no header, today or tomorrow.
        raise PermanentFailure("unwritable_header") from None
    with _named("sender"):
        await client.mail(mail.sender.address)
    with _named("recipient", about_the_mail=True):
        await client.rcpt(mail.recipient)
    with _named("data", about_the_mail=True):
        await client.data(content)


def _hang_up(client: aiosmtplib.SMTP) -> None:
    """Close the connection at once: one with TLS would linger until the server closes it too."""
    if client.transport is not None:
        cast("asyncio.WriteTransport", client.transport).abort()
    client.close()


@contextlib.contextmanager
def _named(step: str, *, about_the_mail: bool = False) -> Iterator[None]:
    """Turn what goes wrong within one step into a failure that quotes nobody.

    Servers like to repeat addresses and links in their answers: only the code is kept.
    """
    try:
        yield
    except aiosmtplib.SMTPResponseException as error:
        reason = f"smtp_{step}_{error.code}"
        raise _refusal(reason, error.code, about_the_mail=about_the_mail) from None
    except aiosmtplib.SMTPTimeoutError:
        raise TransportUnavailable(f"smtp_{step}_timeout") from None
    except ssl.SSLError:
        raise TransportUnavailable("smtp_tls") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        tls = isinstance(error.__cause__ or error.__context__, ssl.SSLError)
        raise TransportUnavailable("smtp_tls" if tls else f"smtp_{step}_lost") from None


def _refusal(reason: str, code: int, *, about_the_mail: bool) -> DeliveryFailed:
    if not about_the_mail or code == _SHUTTING_DOWN:
        return TransportUnavailable(reason)
    return PermanentFailure(reason) if code >= _PERMANENT else TemporaryFailure(reason)
