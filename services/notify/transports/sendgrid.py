"""Mail by SendGrid: its v3 Mail Send API over HTTPS, and what its SMTP relay is told.

What an answer means, after SendGrid's public documentation ("Mail Send: Errors", "Responses",
"Rate Limits"); where it names no number of seconds, the ledger's own back-off applies:

| answer | documented as | here |
|---|---|---|
| 202 | valid and queued | sent |
| other 2xx, 3xx | 200: sandbox, valid but not queued | again: nothing was queued |
| 400 | this request is wrong | final; again when only our sender address is named |
| 401 | key invalid, or credits exceeded | again: the key or the account, not the mail |
| 403 | sender unverified, or blocked for a while | again |
| 404 405 406 415 | wrong address or headers | again: SENDGRID_API_URL, not the mail |
| 408 425 429 | too slow, too early, too many | again, not before Retry-After or X-RateLimit-Reset |
| 413 and every other 4xx | too large, … | final: the same mail stays refused |
| 5xx, timeout, no connection | SendGrid's own trouble | again |

SendGrid knows no idempotency key: after a lost answer the second attempt may be a second mail. It
has the same Message-ID, in the header and, should a relay rewrite that, in a custom argument.
"""

import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from chassis.clock import Clock
from services.notify.transports import (
    AUTO_SUBMITTED,
    DeliveryFailed,
    Mail,
    PermanentFailure,
    TransportUnavailable,
)

SMTP_HEADERS = {
    "X-SMTPAPI": json.dumps(
        {
            "filters": {
                "clicktrack": {"settings": {"enable": 0, "enable_text": False}},
                "opentrack": {"settings": {"enable": 0}},
                "subscriptiontrack": {"settings": {"enable": 0}},
                "ganalytics": {"settings": {"enable": 0}},
            }
        }
    )
}
"""What the relay must leave alone: links carry one-time tokens and belong to nobody else."""

_TRACKING_OFF = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}
_NOT_THE_MAIL = frozenset({401, 403, 404, 405, 406, 408, 415, 425, 429})
_MAX_ANSWER_BYTES = 64 * 1024
_MAX_DIGITS = 12


class SendGridTransport:
    """Posts mails to *url*; *timeout* bounds a whole delivery. An async context manager.

    The server's certificate is verified; redirects, proxies of the environment and cookies are not
    followed, taken or kept: the API key goes to *url* alone.
    """

    def __init__(self, *, url: str, api_key: str, timeout: timedelta, clock: Clock) -> None:
        self._url = url
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds())
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, mail: Mail) -> None:
        """Hand *mail* over (see Transport, and the table above)."""
        if self._session is None:
            raise RuntimeError("SendGridTransport is used outside its context")
        body = json.dumps(document(mail)).encode()
        try:
            await self._post(self._session, body)
        except TimeoutError:
            raise TransportUnavailable("timeout") from None
        except (aiohttp.ClientSSLError, ssl.SSLError):
            raise TransportUnavailable("sendgrid_tls") from None
        except (aiohttp.ClientError, OSError):
            raise TransportUnavailable("sendgrid_lost") from None

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> None:
        async with session.post(
            self._url,
            data=body,
            headers=self._headers,
            timeout=self._timeout,
            allow_redirects=False,
        ) as response:
            if response.status != HTTPStatus.ACCEPTED:
                raise await self._refusal(response)

    async def _refusal(self, response: aiohttp.ClientResponse) -> DeliveryFailed:
        """Say what *response* means, by its status and the fields it names, never by its text."""
        status = response.status
        if status == HTTPStatus.BAD_REQUEST and await _blames_the_sender(response):
            return TransportUnavailable("sendgrid_sender_400")
        client_error = status // 100 == HTTPStatus.BAD_REQUEST // 100
        if client_error and status not in _NOT_THE_MAIL:
            return PermanentFailure(f"sendgrid_{status}")
        wait = retry_after(response.headers, now=self._clock.now())
        return TransportUnavailable(f"sendgrid_{status}", retry_after=wait)


def document(mail: Mail) -> dict[str, Any]:
    """Return the body of a Mail Send request: one personalization, text before HTML."""
    sender = {"email": mail.sender.address}
    if mail.sender.name:
        sender["name"] = mail.sender.name
    return {
        "personalizations": [{"to": [{"email": mail.recipient}]}],
        "from": sender,
        "subject": mail.subject,
        "content": [
            {"type": "text/plain", "value": mail.text},
            {"type": "text/html", "value": mail.html},
        ],
        "headers": {"Message-ID": mail.message_id, **AUTO_SUBMITTED},
        "custom_args": {"gatehouse_message_id": mail.message_id},
        "tracking_settings": _TRACKING_OFF,
    }


def retry_after(headers: Any, *, now: datetime) -> timedelta | None:
    """Return how long the other side wants to be left alone, None when it does not say.

    Retry-After is seconds or a date (RFC 9110 §10.2.3); X-RateLimit-Reset, for refusals with no
    X-RateLimit-Remaining left, is SendGrid's own: seconds since 1970.
    """
    value = headers.get("Retry-After", "").strip()
    if _is_number(value):
        return timedelta(seconds=int(value))
    if value:
        return _until(_date(value), now)
    reset = headers.get("X-RateLimit-Reset", "").strip()
    if headers.get("X-RateLimit-Remaining", "").strip() == "0" and _is_number(reset):
        return _until(datetime.fromtimestamp(int(reset), UTC), now)
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _until(moment: datetime | None, now: datetime) -> timedelta | None:
    return None if moment is None else max(moment - now, timedelta())


async def _blames_the_sender(response: aiohttp.ClientResponse) -> bool:
    """Say whether every error of a 400 names our own sender: no mail is at fault then."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            return False
    try:
        errors = json.loads(bytes(body))["errors"]
        fields = [str(error["field"]) for error in errors]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(fields) and all(field.partition(".")[0] == "from" for field in fields)
