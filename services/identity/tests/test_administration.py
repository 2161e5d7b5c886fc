"""Administration: /api/v1/admin/users, by role."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from contracts.commands import SendPasswordResetMail
from contracts.identity import (
    PasswordResetForced,
    UserDeleted,
    UserDisabled,
    UserEnabled,
    UserLocked,
    UserRolesChanged,
    UserUnlocked,
)
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import Somebody, World, codes_of

USERS = "/api/v1/admin/users"
ACTIONS = ("lock", "unlock", "disable", "enable", "force-password-reset")
# (method, path below one user, body, may a moderator)
ROUTES: list[tuple[str, str, Any, bool]] = [
    ("GET", "", None, True),
    ("GET", "/failed-logins", None, True),
    ("POST", "/lock", None, True),
    ("POST", "/unlock", None, True),
    ("POST", "/disable", None, False),
    ("POST", "/enable", None, False),
    ("POST", "/force-password-reset", None, False),
    ("PUT", "/roles", {"roles": ["moderator"]}, False),
    ("PATCH", "", {"username": "renamed"}, False),
    ("DELETE", "", None, False),
]


async def act(
    world: World, admin: Somebody, action: str, target: Somebody, *roles: str
) -> dict[str, Any]:
    """Have *admin* do *action* to *target*; return the account as it is then."""
    principal = admin.principal(*(roles or ("user", "admin")))
    answer = await world.post(f"{USERS}/{target.id}/{action}", principal=principal)
    assert answer.status_code == 200, answer.text
    account: dict[str, Any] = answer.json()
    return account


class TestWhoMay:
    """Role by route, default deny."""

    @pytest.mark.parametrize(("method", "path", "body", "moderator"), ROUTES)
    async def test_every_role_on_every_route(
        self, method: str, path: str, body: Any, *, moderator: bool, world: World
    ) -> None:
        """Anonymous 401, user 403, moderator by the table and on plain users only, admin always."""
        users = {name: await world.make(name) for name in ("target", "plain")}
        boss = await world.make("boss", "admin")
        helper = await world.make("helper", "moderator")
        target = f"{USERS}/{users['target'].id}{path}"
        anonymous = await world.call(method, target, body)
        assert anonymous.status_code == 401
        plain = await world.call(method, target, body, principal=users["plain"].principal())
        assert (plain.status_code, plain.json()["code"]) == (403, "role_required")
        as_moderator = helper.principal("user", "moderator")
        on_admin = await world.call(
            method, f"{USERS}/{boss.id}{path}", body, principal=as_moderator
        )
        assert on_admin.status_code == (404 if moderator else 403)
        helped = await world.call(method, target, body, principal=as_moderator)
        assert helped.status_code == (200 if moderator else 403)
        bossed = await world.call(method, target, body, principal=boss.principal("user", "admin"))
        assert bossed.status_code in {200, 204}

    async def test_a_token_older_than_the_roles_is_not_believed(self, world: World) -> None:
        """The database is asked as well: a demoted administrator is none."""
        boss, ada = await world.make("boss"), await world.make("ada")
        answer = await world.post(
            f"{USERS}/{ada.id}/lock", principal=boss.principal("user", "admin")
        )
        assert answer.json()["code"] == "role_required"

    async def test_an_unknown_account_is_404(self, world: World) -> None:
        """Also when the id is none."""
        boss = await world.make("boss", "admin")
        for user_id in (uuid4(), "nonsense"):
            answer = await world.call(
                "GET", f"{USERS}/{user_id}", principal=boss.principal("user", "admin")
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")


class TestList:
    """Search and pages."""

    async def test_finds_by_the_beginning_of_address_or_name(self, world: World) -> None:
        """Wildcards are letters like others."""
        boss = await world.make("boss", "admin")
        for name in ("ada", "adam", "bob"):
            await world.register(name, verified=False)
        principal = boss.principal("user", "admin")

        async def found(**query: Any) -> list[str]:
            answer = await world.call("GET", USERS, principal=principal, query=query)
            return sorted(item["username"] for item in answer.json()["items"])

        assert await found(q="AD") == ["ada", "adam"]
        assert await found(q="bob@ex") == ["bob"]
        assert await found(q="a%") == []
        assert await found(q="a_a") == []
        assert await found(role="admin") == ["boss"]

    async def test_pages_through_all(self, world: World) -> None:
        """Each account once."""
        boss = await world.make("boss", "admin")
        for name in ("ada", "bob", "eve"):
            await world.register(name, verified=False)
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 3}
        while True:
            page = await world.call(
                "GET", USERS, principal=boss.principal("user", "admin"), query=query
            )
            seen += [item["username"] for item in page.json()["items"]]
            if page.json()["next_cursor"] is None:
                break
            query["cursor"] = page.json()["next_cursor"]
        assert sorted(seen) == ["ada", "bob", "boss", "eve"]

    async def test_moderators_see_plain_users_only(self, world: World) -> None:
        """Who administers is none of their business."""
        helper = await world.make("helper", "moderator")
        await world.make("boss", "admin")
        await world.make("ada")
        page = await world.call("GET", USERS, principal=helper.principal("user", "moderator"))
        assert [item["username"] for item in page.json()["items"]] == ["ada"]

    async def test_failed_logins_can_be_read(self, world: World) -> None:
        """Newest first, with the reason."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        await world.login("ada", "wrong")
        page = await world.call(
            "GET", f"{USERS}/{ada.id}/failed-logins", principal=boss.principal("user", "admin")
        )
        assert [item["outcome"] for item in page.json()["items"]] == ["invalid_credentials"]


class TestActions:
    """What administrators do to accounts."""

    async def test_lock_ends_sessions_and_unlock_opens(self, world: World) -> None:
        """Cause `admin`, urgent, one event each however often it is pressed."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        for _ in range(2):
            assert (await act(world, boss, "lock", ada))["status"] == "locked"
        [event] = await world.events(UserLocked)
        assert (event.data["cause"], event.actor) == ("admin", str(boss.id))
        assert (await world.login("ada", PASSWORD)).json()["code"] == "account_disabled"
        for _ in range(2):
            assert (await act(world, boss, "unlock", ada))["is_locked"] is False
        assert len(await world.events(UserUnlocked)) == 1
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_moderators_lift_failure_locks(self, world: World) -> None:
        """The owner need not wait."""
        helper, ada = await world.make("helper", "moderator"), await world.make("ada")
        for _ in range(5):
            await world.login("ada", "wrong")
        account = await act(world, helper, "unlock", ada, "user", "moderator")
        assert (account["is_locked"], account["locked_until"]) == (False, None)
        [event] = await world.events(UserUnlocked)
        assert (event.data["cause"], event.actor) == ("admin", str(helper.id))
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_unlock_opens_the_door_inside_too(self, world: World) -> None:
        """Five wrong current passwords in a session lock only that; unlocking lifts it."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        change = "/api/v1/auth/password-change"
        wrong = {"current_password": "wrong", "new_password": NEW_PASSWORD}
        for _ in range(5):
            await world.post(change, wrong, principal=ada.principal())
        await act(world, boss, "unlock", ada)
        [event] = await world.events(UserUnlocked)
        assert (event.data["cause"], event.actor) == ("admin", str(boss.id))
        right = wrong | {"current_password": PASSWORD}
        answer = await world.post(change, right, principal=ada.principal())
        assert answer.status_code == 200

    async def test_disable_and_enable(self, world: World) -> None:
        """Out of service, and back."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        assert (await act(world, boss, "disable", ada))["status"] == "disabled"
        assert (await world.login("ada", PASSWORD)).json()["code"] == "account_disabled"
        assert (await act(world, boss, "enable", ada))["status"] == "active"
        assert (await world.login("ada", PASSWORD)).status_code == 200
        assert len(await world.events(UserDisabled)) == len(await world.events(UserEnabled)) == 1

    async def test_a_forced_reset_is_by_mail_only(self, world: World) -> None:
        """The password opens nothing any more, devices are strangers, the mail helps."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        await act(world, boss, "force-password-reset", ada)
        answer = await world.login("ada", PASSWORD)
        assert answer.json()["code"] == "password_reset_required"
        assert len(await world.commands(SendPasswordResetMail)) == 1
        body = {"token": await world.reset_token(ada.email), "new_password": NEW_PASSWORD}
        await world.post("/api/v1/auth/password-reset/verify", body)
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200

    async def test_a_forced_reset_tells_token_urgently(self, world: World) -> None:
        """One event of the new version, by the administrator: the sessions end."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        before = "SELECT version FROM users WHERE username = 'ada'"
        version = await world.value(before)
        await act(world, boss, "force-password-reset", ada)
        [event] = await world.events(PasswordResetForced)
        assert (event.subject, event.actor) == (str(ada.id), str(boss.id))
        assert event.subjectversion == version + 1
        urgent = "SELECT urgent FROM outbox WHERE routing_key = :type"
        assert await world.value(urgent, type=PasswordResetForced.type) is True

    async def test_roles_are_set_exactly(self, world: World) -> None:
        """`user` stays whatever is asked; the event is urgent and has both lists."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada", "moderator")
        answer = await world.call(
            "PUT",
            f"{USERS}/{ada.id}/roles",
            {"roles": ["admin"]},
            principal=boss.principal("user", "admin"),
        )
        assert answer.json()["roles"] == ["admin", "user"]
        [event] = await world.events(UserRolesChanged)
        assert event.data["roles"] == ["admin", "user"]
        assert event.data["previous_roles"] == ["moderator", "user"]
        urgent = "SELECT urgent FROM outbox WHERE routing_key = :type"
        assert await world.value(urgent, type=UserRolesChanged.type) is True

    async def test_unknown_roles_are_refused(self, world: World) -> None:
        """400 with the place in the list."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        answer = await world.call(
            "PUT",
            f"{USERS}/{ada.id}/roles",
            {"roles": ["user", "root"]},
            principal=boss.principal("user", "admin"),
        )
        assert answer.status_code == 400
        assert {pointer for pointer, _ in codes_of(answer)} == {"/roles/1"}

    async def test_delete_takes_everything_along(self, world: World) -> None:
        """204, and an urgent event."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        answer = await world.call(
            "DELETE", f"{USERS}/{ada.id}", principal=boss.principal("user", "admin")
        )
        assert answer.status_code == 204
        assert await world.value("SELECT count(*) FROM users") == 1
        assert len(await world.events(UserDeleted)) == 1


class TestLastAdministrator:
    """Somebody must be left."""

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/lock", None),
            ("POST", "/disable", None),
            ("DELETE", "", None),
            ("PUT", "/roles", {"roles": ["user"]}),
        ],
    )
    async def test_cannot_go(self, method: str, path: str, body: Any, world: World) -> None:
        """409 whichever way he tries."""
        boss = await world.make("boss", "admin")
        answer = await world.call(
            method, f"{USERS}/{boss.id}{path}", body, principal=boss.principal("user", "admin")
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "/lock"), ("POST", "/disable"), ("DELETE", "")]
    )
    async def test_two_cannot_take_each_other_away_at_once(
        self, method: str, path: str, world: World
    ) -> None:
        """Whichever way they go about it, one who can log in is left."""
        for number in range(5):
            bosses = [await world.make(f"boss{number}{letter}", "admin") for letter in "ab"]

            async def remove(actor: Somebody, target: Somebody) -> int:
                answer = await world.call(
                    method,
                    f"{USERS}/{target.id}{path}",
                    principal=actor.principal("user", "admin"),
                )
                return answer.status_code

            statuses = await asyncio.gather(remove(*bosses), remove(*reversed(bosses)))
            assert sum(status < 300 for status in statuses) == 1, statuses
            await world.execute("DELETE FROM users")

    async def test_two_cannot_remove_each_other_at_once(self, world: World) -> None:
        """One of them stays, in every round."""
        first, second = await world.make("boss1", "admin"), await world.make("boss2", "admin")

        async def demote(actor: Somebody, target: Somebody) -> int:
            answer = await world.call(
                "PUT",
                f"{USERS}/{target.id}/roles",
                {"roles": []},
                principal=actor.principal("user", "admin"),
            )
            return answer.status_code

        for _ in range(10):
            statuses = await asyncio.gather(demote(first, second), demote(second, first))
            assert sorted(statuses) in ([200, 403], [200, 409])
            await world.execute(
                "INSERT INTO user_roles (user_id, role, granted_at)"
                " SELECT id, 'admin', now() FROM users ON CONFLICT DO NOTHING"
            )
