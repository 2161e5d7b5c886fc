"""SendGrid against a local stand-in: what is posted, and what each answer means."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from chassis.processes import free_port
from chassis.testing import FixedClock
from services.notify.tests.sendgrid_fake import KEY, FakeSendGrid, hang_up, never, raw, refuse
from services.notify.tests.smtp_sink import MAIL
from services.notify.transports import (
    DeliveryFailed,
    PermanentFailure,
    TemporaryFailure,
    TransportUnavailable,
)
from services.notify.transports.sendgrid import SendGridTransport

CLOCK = FixedClock()


@pytest.fixture
async def transport(fake: FakeSendGrid) -> AsyncIterator[SendGridTransport]:
    """Give the way to the stand-in."""
    async with SendGridTransport(
        url=fake.url, api_key=KEY, timeout=timedelta(seconds=10), clock=CLOCK
    ) as transport:
        yield transport


async def failure(transport: SendGridTransport) -> DeliveryFailed:
    """Send one mail and return why it was not taken."""
    with pytest.raises(DeliveryFailed) as caught:
        await transport.send(MAIL)
    return caught.value


class TestWire:
    """What SendGrid gets."""

    async def test_is_one_documented_request(
        self, fake: FakeSendGrid, transport: SendGridTransport
    ) -> None:
        """One person, text before HTML, our own Message-ID twice, the key in its header alone."""
        await transport.send(MAIL)

        [posted] = fake.accepted
        assert posted.headers["Authorization"] == f"Bearer {KEY}"
        document = dict(posted.document)
        assert document.pop("tracking_settings")
        assert document == {
            "personalizations": [{"to": [{"email": "ada@example.org"}]}],
            "from": {"email": "no-reply@gatehouse.example", "name": "Gatehouse"},
            "subject": MAIL.subject,
            "content": [
                {"type": "text/plain", "value": MAIL.text},
                {"type": "text/html", "value": MAIL.html},
            ],
            "headers": {"Message-ID": MAIL.message_id, "Auto-Submitted": "auto-generated"},
            "custom_args": {"gatehouse_message_id": MAIL.message_id},
        }

    async def test_leaves_links_alone(
        self, fake: FakeSendGrid, transport: SendGridTransport
    ) -> None:
        """No tracking of any kind: a rewritten link would hand its token to others."""
        await transport.send(MAIL)

        assert fake.accepted[0].document["tracking_settings"] == {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
            "ganalytics": {"enable": False},
        }

    async def test_keeps_its_connection(
        self, fake: FakeSendGrid, transport: SendGridTransport
    ) -> None:
        """Also after a refusal with a body."""
        fake.answers.append(refuse(500))
        await failure(transport)

        await transport.send(MAIL)

        assert len(fake.accepted) == 1

    async def test_follows_nobody_elsewhere(
        self, fake: FakeSendGrid, transport: SendGridTransport
    ) -> None:
        """A redirect could carry key and mail away."""

        async def elsewhere(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": fake.url})

        fake.answers.append(elsewhere)

        assert (await failure(transport)).reason == "sendgrid_307"
        assert len(fake.posted) == 1


class TestAnswers:
    """The table of the transport, row by row."""

    @pytest.mark.parametrize("status", [400, 402, 409, 410, 413, 422])
    async def test_a_refused_mail_is_final(
        self, fake: FakeSendGrid, transport: SendGridTransport, status: int
    ) -> None:
        """The same request would be refused again."""
        fake.answers.append(refuse(status, fields=("personalizations.0.to.0.email", "from")))

        refused = await failure(transport)

        assert isinstance(refused, PermanentFailure)
        assert refused.reason == f"sendgrid_{status}"

    @pytest.mark.parametrize(
        "status", [200, 204, 302, 401, 403, 404, 405, 406, 408, 415, 425, 429, 500, 502, 503, 504]
    )
    async def test_what_concerns_every_mail_is_tried_again(
        self, fake: FakeSendGrid, transport: SendGridTransport, status: int
    ) -> None:
        """A revoked key must not cost a single mail."""
        fake.answers.append(raw(status, b""))

        refused = await failure(transport)

        assert isinstance(refused, TransportUnavailable)
        assert (refused.reason, refused.retry_after) == (f"sendgrid_{status}", None)

    async def test_a_refused_sender_is_tried_again(
        self, fake: FakeSendGrid, transport: SendGridTransport
    ) -> None:
        """MAIL_FROM is wrong, not the mail."""
        fake.answers.append(refuse(400, fields=("from.email", "from")))

        refused = await failure(transport)

        assert isinstance(refused, TransportUnavailable)
        assert refused.reason == "sendgrid_sender_400"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b'{"errors":null}',
            b'{"errors":[1]}',
            b'{"errors":[]}',
            b"[" * 9999,
            b" " * 70_000 + b'{"errors":[{"field":"from"}]}',
        ],
    )
    async def test_an_unreadable_refusal_is_final(
        self, fake: FakeSendGrid, transport: SendGridTransport, body: bytes
    ) -> None:
        """Only a clear word about the sender changes the meaning of 400."""
        fake.answers.append(raw(400, body))

        assert isinstance(await failure(transport), PermanentFailure)

    async def test_quotes_nothing(self, fake: FakeSendGrid, transport: SendGridTransport) -> None:
        """Neither the key nor the server's text stands in the failure."""
        for status in (400, 401, 500):
            fake.answers.append(refuse(status))
            refused = await failure(transport)
            assert "canary" not in repr(refused) + str(refused.__context__)


class TestConnection:
    """What happens to the wire."""

    async def test_a_lost_answer_is_tried_again(
        self, fake: FakeSendGrid, transport: SendGridTransport
    ) -> None:
        """At the price of a second mail with the same Message-ID."""
        fake.answers.append(hang_up)

        assert (await failure(transport)).reason == "sendgrid_lost"
        await transport.send(MAIL)

        first, second = fake.posted
        assert first.document == second.document

    async def test_nobody_there(self) -> None:
        """Refused connections are temporary."""
        url = f"http://127.0.0.1:{free_port()}/v3/mail/send"
        async with SendGridTransport(
            url=url, api_key=KEY, timeout=timedelta(seconds=10), clock=CLOCK
        ) as transport:
            assert (await failure(transport)).reason == "sendgrid_lost"

    async def test_does_not_wait_for_ever(self, fake: FakeSendGrid) -> None:
        """The timeout bounds the whole delivery."""
        fake.answers.append(never)
        async with SendGridTransport(
            url=fake.url, api_key=KEY, timeout=timedelta(seconds=0.1), clock=CLOCK
        ) as transport:
            refused = await failure(transport)

        assert isinstance(refused, TransportUnavailable)
        assert refused.reason == "timeout"

    async def test_a_server_without_a_certificate_gets_nothing(self, fake: FakeSendGrid) -> None:
        """The key is for the verified server alone."""
        url = fake.url.replace("http:", "https:")
        async with SendGridTransport(
            url=url, api_key=KEY, timeout=timedelta(seconds=10), clock=CLOCK
        ) as transport:
            assert (await failure(transport)).reason == "sendgrid_tls"

        assert fake.posted == []


class TestWaiting:
    """When the other side wants to be left alone."""

    async def test_tells_it_on(self, fake: FakeSendGrid, transport: SendGridTransport) -> None:
        """The failure carries the wait."""
        fake.answers.append(refuse(429, headers={"Retry-After": "120"}))

        refused = await failure(transport)

        assert isinstance(refused, TemporaryFailure)
        assert refused.retry_after == timedelta(seconds=120)
