"""The ledger over HTTP: for administrators, masked, and when a mail may be sent again."""

from uuid import uuid4

import pytest

from chassis.testing import NOBODY, eventually
from contracts.envelope import COMMANDS_EXCHANGE
from contracts.identity import UserEmailVerified, UserRegistered
from services.notify.tests.kit import command, fact
from services.notify.tests.running import Running, person


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

    @pytest.mark.parametrize(("target", "status"), [(str(NOBODY), 404), ("nothing", 404)])
    async def test_knows_only_its_own_ids(self, notify: Running, target: str, status: int) -> None:
        """Unknown and unreadable ids are 404."""
        response = await notify.call(
            "POST", f"/api/v1/admin/messages/{target}/resend", principal=person("admin")
        )
        assert response.status_code == status
