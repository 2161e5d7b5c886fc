"""Notify as it is deployed: commands and facts in by the bus, mails out, HTTP in front."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis.app import Deployable
from chassis.assertions import HEADER, AssertionSigner
from chassis.bus import Binding, Message
from chassis.caller import Principal
from chassis.clock import SystemClock
from chassis.inprocess import InProcessBus
from chassis.testing import eventually
from chassis.testing.databases import FreshDatabase
from contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, CloudEvent
from contracts.identity import UserDeleted, UserEmailVerified, UserRegistered
from contracts.notify import MessageSent
from services.notify.app import build
from services.notify.consumers import queues
from services.notify.settings import NotifySettings
from services.notify.tests.kit import KEYS, command, fact

SECRET = bytes(32)
SIGNER = AssertionSigner(issuer="gateway", audience="notify", secrets=[SECRET], clock=SystemClock())


def settings_of(fresh: FreshDatabase, **changes: Any) -> NotifySettings:
    """Return settings for a process of one test."""
    values: dict[str, Any] = {
        "environment": "development",
        "port": 0,
        "ops_port": 0,
        "database_url": fresh.app_url,
        "database_pool_min": 1,
        "database_pool_max": 5,
        "assertion_secrets_from_gateway": (SECRET,),
        "public_base_url": "http://localhost:8000",
        "mail_transport": "inbox",
        "mail_from": "Gatehouse <no-reply@gatehouse.example>",
        "mail_secrets_keys": KEYS,
    }
    return NotifySettings(**(values | changes))


class Running:
    """A running notify, its bus, and the gateway's way in."""

    def __init__(self, deployable: Deployable, bus: InProcessBus) -> None:
        self.bus = bus
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(deployable.http), base_url="http://notify"
        )

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def publish(self, event: CloudEvent, exchange: str = EVENTS_EXCHANGE) -> None:
        """Put *event* on the bus."""
        message = Message(
            id=event.id, exchange=exchange, routing_key=event.type, body=event.to_json()
        )
        await self.bus.publish([message])

    async def call(
        self, method: str, target: str, *, principal: Principal | None = None
    ) -> httpx.Response:
        """Call as the gateway does."""
        assertion = SIGNER.sign(method, target, request_id="request-1", principal=principal)
        return await self._client.request(method, target, headers={HEADER: assertion})

    async def mails(self, address: str) -> list[dict[str, Any]]:
        """Return what the inbox holds for *address*."""
        response = await self.call("GET", f"/dev/inbox/messages?to={address}")
        found: list[dict[str, Any]] = response.json()
        return found


def person(*roles: str) -> Principal:
    """Return somebody with these roles."""
    return Principal(user_id=uuid4(), session_id=uuid4(), roles=frozenset(roles), version=1)


@asynccontextmanager
async def run(settings: NotifySettings) -> AsyncIterator[Running]:
    """Run notify for one test."""
    bus = InProcessBus(queues())
    deployable = build(settings, bus=bus)
    running = Running(deployable, bus)
    try:
        async with deployable.lifespan():
            bus.open()
            yield running
    finally:
        await running.close()
        await bus.close()


@pytest.fixture
async def notify(fresh: FreshDatabase) -> AsyncIterator[Running]:
    """Give a running notify that mails into its inbox."""
    async with run(settings_of(fresh)) as running:
        yield running


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


class TestLedger:
    """The ledger as administrators see it."""

    async def test_is_for_administrators(self, notify: Running) -> None:
        """Nobody else gets in, with or without a login."""
        for method, path in (
            ("GET", "/api/v1/admin/messages"),
            ("POST", f"/api/v1/admin/messages/{uuid4()}/resend"),
        ):
            assert (await notify.call(method, path)).status_code == 401
            plain = await notify.call(method, path, principal=person("user", "moderator"))
            assert plain.status_code == 403

    async def test_lists_masked_pages(self, notify: Running) -> None:
        """Newest first, by cursor, without address, text or token."""
        user_id = uuid4()
        for name in ("first", "second", "third"):
            await notify.publish(command(user_id, email=f"{name}@example.org"), COMMANDS_EXCHANGE)
            await eventually(lambda name=name: notify.mails(f"{name}@example.org"))  # type: ignore[misc] # mypy cannot type a lambda's default

        first = await notify.call(
            "GET", f"/api/v1/admin/messages?limit=2&user_id={user_id}", principal=person("admin")
        )
        cursor = first.json()["next_cursor"]
        second = await notify.call(
            "GET", f"/api/v1/admin/messages?limit=2&cursor={cursor}", principal=person("admin")
        )

        assert [item["to"] for item in first.json()["items"]] == [
            "t***@example.org",
            "s***@example.org",
        ]
        assert [item["to"] for item in second.json()["items"]] == ["f***@example.org"]
        assert second.json()["next_cursor"] is None
        assert "sealed" not in first.text
        assert "third" not in first.text

    @pytest.mark.parametrize(
        "query", ["?limit=0", "?limit=201", "?state=lost", "?cursor=x", "?page=2", "?template=x"]
    )
    async def test_refuses_odd_queries(self, notify: Running, query: str) -> None:
        """A pointer names what is wrong."""
        response = await notify.call(
            "GET", f"/api/v1/admin/messages{query}", principal=person("admin")
        )

        assert response.status_code == 400
        assert response.json()["errors"][0]["pointer"] == "/" + query[1:].partition("=")[0]

    async def test_sends_a_notice_again(self, notify: Running) -> None:
        """A settled mail without a secret is written anew."""
        user_id = uuid4()
        registered = UserRegistered(
            user_id=user_id, email="ada@example.org", username="ada", roles=()
        )
        await notify.publish(fact(registered))
        await notify.publish(fact(UserEmailVerified(user_id=user_id, email="ada@example.org")))
        [mail] = await eventually(lambda: notify.mails("ada@example.org"))

        async def sent() -> bool:
            page = await notify.call(
                "GET", "/api/v1/admin/messages?state=sent", principal=person("admin")
            )
            return bool(page.json()["items"])

        await eventually(sent)
        path = f"/api/v1/admin/messages/{mail['id']}/resend"
        response = await notify.call("POST", path, principal=person("admin"))

        async def twice() -> bool:
            return len(await notify.mails("ada@example.org")) == 2

        assert response.status_code == 202
        assert response.json()["id"] != mail["id"]
        await eventually(twice)

    async def test_does_not_send_a_secret_again(self, notify: Running) -> None:
        """Its token is gone: the person asks for a new link."""
        await notify.publish(command(uuid4()), COMMANDS_EXCHANGE)
        [mail] = await eventually(lambda: notify.mails("ada@example.org"))
        path = f"/api/v1/admin/messages/{mail['id']}/resend"

        async def refused() -> bool:
            response = await notify.call("POST", path, principal=person("admin"))
            return response.status_code == 409 and (
                response.json()["code"] == "message_not_resendable"
            )

        await eventually(refused)

    @pytest.mark.parametrize(("target", "status"), [(str(uuid4()), 404), ("nothing", 404)])
    async def test_knows_only_its_own_ids(self, notify: Running, target: str, status: int) -> None:
        """Unknown and unreadable ids are 404."""
        response = await notify.call(
            "POST", f"/api/v1/admin/messages/{target}/resend", principal=person("admin")
        )
        assert response.status_code == status
