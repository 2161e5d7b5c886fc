"""Notify as it is deployed: commands and facts in by the bus, mails out, HTTP in front."""

from uuid import uuid4

import pytest

from chassis.bus import Binding
from chassis.testing import eventually
from chassis.testing.databases import FreshDatabase
from contracts.envelope import COMMANDS_EXCHANGE, CloudEvent
from contracts.identity import UserDeleted, UserEmailVerified, UserRegistered
from contracts.notify import MessageSent
from services.notify.tests.kit import command, fact
from services.notify.tests.running import Running, run, settings_of


class TestFromCommandToMail:
    """The way of a mail, as in the all-in-one mode."""

    async def test_a_command_becomes_one_mail(self, notify: Running) -> None:
        """Delivered twice, it is still one; its link is the configured one."""
        order = command(uuid4(), email="Ada+news@example.org", token="abc")

        for _ in range(2):
            await notify.publish(order, COMMANDS_EXCHANGE)
        await eventually(lambda: notify.mails("ada%2Bnews@EXAMPLE.org"))
        await notify.publish(order, COMMANDS_EXCHANGE)

        [mail] = await notify.mails("ada+news@example.org")
        assert sorted(mail) == ["html", "id", "links", "received_at", "subject", "text", "to"]
        assert mail["to"] == "Ada+news@example.org"
        assert mail["subject"] == "Confirm your e-mail address"
        assert mail["links"] == ["http://localhost:8000/verify-email#token=abc"]

    async def test_tells_that_it_was_sent(self, notify: Running) -> None:
        """The fact leaves by the outbox and the bus."""
        told: list[CloudEvent] = []

        async def hear(event: CloudEvent) -> None:
            told.append(event)

        await notify.bus.subscribe_ephemeral([Binding("notify.#")], hear)
        await notify.publish(command(uuid4()), COMMANDS_EXCHANGE)

        await eventually(lambda: told)
        assert [event.type for event in told] == [MessageSent.type]

    async def test_newest_mails_come_first(self, notify: Running) -> None:
        """A welcome follows the registration's verification mail."""
        user_id = uuid4()
        await notify.publish(command(user_id), COMMANDS_EXCHANGE)
        await eventually(lambda: notify.mails("ada@example.org"))
        await notify.publish(
            fact(UserRegistered(user_id=user_id, email="ada@example.org", username="ada", roles=()))
        )
        await notify.publish(fact(UserEmailVerified(user_id=user_id, email="ada@example.org")))

        async def both() -> bool:
            return len(await notify.mails("ada@example.org")) == 2

        await eventually(both)
        subjects = [mail["subject"] for mail in await notify.mails("ada@example.org")]
        assert subjects == ["Welcome: your address is confirmed", "Confirm your e-mail address"]

    async def test_forgets_a_deleted_user(self, notify: Running) -> None:
        """Mails in the inbox are personal data too."""
        user_id = uuid4()
        await notify.publish(command(user_id), COMMANDS_EXCHANGE)
        await eventually(lambda: notify.mails("ada@example.org"))

        await notify.publish(fact(UserDeleted(user_id=user_id)))

        assert await notify.mails("ada@example.org") == []


class TestInboxPage:
    """The page a developer looks at."""

    async def test_shows_mails_without_running_anything(self, notify: Running) -> None:
        """No script, no inline style but by its hash, mails in sandboxed frames."""
        await notify.publish(command(uuid4(), token="abc"), COMMANDS_EXCHANGE)
        await eventually(lambda: notify.mails("ada@example.org"))

        response = await notify.call("GET", "/dev/inbox")

        policy = response.headers["content-security-policy"]
        assert response.status_code == 200
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert '<iframe title="The mail as its reader sees it" sandbox="" srcdoc="' in response.text
        assert '<a href="http://localhost:8000/verify-email#token=abc"' in response.text
        assert "<script" not in response.text

    @pytest.mark.parametrize("query", ["?to=a&to=b", "?who=a", "?to=%00"])
    async def test_refuses_odd_queries(self, notify: Running, query: str) -> None:
        """Repeated and unknown names, control characters."""
        for path in ("/dev/inbox", "/dev/inbox/messages"):
            response = await notify.call("GET", path + query)
            assert response.status_code == 400
            assert response.json()["code"] == "invalid_input"

    async def test_is_absent_in_production(self, fresh: FreshDatabase) -> None:
        """With SMTP there is no such path."""
        production = settings_of(
            fresh, environment="production", mail_transport="smtp", smtp_host="mail.example"
        )
        async with run(production) as notify:
            for path in ("/dev/inbox", "/dev/inbox/messages"):
                assert (await notify.call("GET", path)).status_code == 404
