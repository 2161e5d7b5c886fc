"""The profile: GET, PATCH, DELETE /api/v1/users/me and …/login-history."""

from datetime import timedelta
from uuid import uuid4

from chassis.testing import FixedClock
from contracts.identity import UserDeleted, UserUpdated
from services.identity.tests.configuration import PASSWORD
from services.identity.tests.kit import Somebody, World, at_once, codes_of

ME = "/api/v1/users/me"
HISTORY = "/api/v1/users/me/login-history"


class TestMe:
    """What people see of themselves."""

    async def test_shows_the_documented_fields(self, world: World) -> None:
        """And no others."""
        ada = await world.register()
        answer = await world.call("GET", ME, principal=ada.principal())
        assert answer.status_code == 200
        body = answer.json()
        assert set(body) == {
            "id",
            "email",
            "username",
            "is_verified",
            "roles",
            "created_at",
            "last_login",
        }
        assert (body["id"], body["roles"], body["last_login"]) == (str(ada.id), ["user"], None)

    async def test_needs_somebody_logged_in(self, world: World) -> None:
        """Anonymous callers hear 401 everywhere."""
        answers = [
            await world.call("GET", ME),
            await world.call("PATCH", ME, {"username": "eve"}),
            await world.call("DELETE", ME, {"password": PASSWORD}),
            await world.call("GET", HISTORY),
        ]
        assert {answer.status_code for answer in answers} == {401}

    async def test_a_deleted_account_is_gone_for_its_own_tokens(self, world: World) -> None:
        """A token that outlives its account says nothing."""
        ghost = Somebody(id=uuid4(), email="", username="", password="")
        answer = await world.call("GET", ME, principal=ghost.principal())
        assert (answer.status_code, answer.json()["code"]) == (401, "account_gone")


class TestRename:
    """Another username."""

    async def test_changes_the_name_and_the_version(self, world: World) -> None:
        """The event names the field, not its value."""
        ada = await world.register()
        answer = await world.call("PATCH", ME, {"username": "Countess"}, principal=ada.principal())
        assert (answer.status_code, answer.json()["username"]) == (200, "countess")
        [event] = await world.events(UserUpdated)
        assert event.data["fields"] == ["username"]
        assert event.subjectversion == 3
        assert (await world.login("countess", PASSWORD)).status_code == 200

    async def test_refuses_a_name_that_is_taken(self, world: World) -> None:
        """409 with the field."""
        ada = await world.register("ada")
        await world.register("bob")
        answer = await world.call("PATCH", ME, {"username": "BOB"}, principal=ada.principal())
        assert answer.status_code == 409
        assert codes_of(answer) == {("/username", "username_taken")}

    async def test_of_two_at_once_one_gets_the_name(self, world: World) -> None:
        """The constraint decides, with a 409 and not a crash."""
        people = [await world.register(name) for name in ("ada", "bob")]
        answers = await at_once(
            2,
            lambda n: world.call(
                "PATCH", ME, {"username": "wanted"}, principal=people[n].principal()
            ),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]

    async def test_the_same_name_changes_nothing(self, world: World) -> None:
        """No version, no event."""
        ada = await world.register()
        await world.call("PATCH", ME, {"username": "ADA"}, principal=ada.principal())
        assert await world.events(UserUpdated) == []

    async def test_nothing_else_can_be_set(self, world: World) -> None:
        """No mass assignment."""
        ada = await world.register()
        body = {"username": "eve", "roles": ["admin"], "is_verified": True, "id": str(uuid4())}
        answer = await world.call("PATCH", ME, body, principal=ada.principal())
        assert answer.status_code == 400
        assert codes_of(answer) == {
            ("/roles", "unknown_field"),
            ("/is_verified", "unknown_field"),
            ("/id", "unknown_field"),
        }
        assert await world.value("SELECT username FROM users") == "ada"


class TestDelete:
    """Leaving."""

    async def test_needs_the_password_and_takes_everything_along(self, world: World) -> None:
        """Rows, counters and history go; the event is urgent."""
        ada = await world.register()
        await world.login("ada", "wrong")
        principal = ada.principal()
        refused = await world.call("DELETE", ME, {"password": "wrong"}, principal=principal)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")
        answer = await world.call("DELETE", ME, {"password": PASSWORD}, principal=principal)
        assert answer.status_code == 204
        left = """
            SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM user_roles)
                + (SELECT count(*) FROM login_history) + (SELECT count(*) FROM login_counters)
                + (SELECT count(*) FROM failed_login_attempts)
                + (SELECT count(*) FROM email_verifications)
        """
        assert await world.value(left) == 0
        [event] = await world.events(UserDeleted)
        assert (event.subject, event.subjectversion) == (str(ada.id), 3)
        urgent = "SELECT urgent FROM outbox WHERE routing_key = :type"
        assert await world.value(urgent, type=UserDeleted.type) is True

    async def test_a_strangers_lock_keeps_nobody_from_leaving(self, world: World) -> None:
        """Guesses at the door are counted apart from the password repeated inside."""
        ada = await world.register()
        for _ in range(6):
            await world.login("ada", "wrong", address="203.0.113.9")
        answer = await world.call("DELETE", ME, {"password": PASSWORD}, principal=ada.principal())
        assert answer.status_code == 204

    async def test_frees_the_names(self, world: World) -> None:
        """Somebody may register again, as somebody else."""
        ada = await world.register()
        await world.call("DELETE", ME, {"password": PASSWORD}, principal=ada.principal())
        assert (await world.register()).id != ada.id

    async def test_the_last_administrator_stays(self, world: World) -> None:
        """Nobody would be left to administer."""
        ada = await world.make("ada", "admin")
        answer = await world.call(
            "DELETE", ME, {"password": PASSWORD}, principal=ada.principal("user", "admin")
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")


class TestLoginHistory:
    """When, from where, and how it ended."""

    async def test_pages_from_the_newest(self, world: World, clock: FixedClock) -> None:
        """The cursor leads to the rest, and then to nothing."""
        ada = await world.register()
        for password in (PASSWORD, "wrong", PASSWORD):
            await world.login("ada", password)
            clock.advance(timedelta(minutes=1))
        principal = ada.principal()
        first = await world.call("GET", HISTORY, principal=principal, query={"limit": 2})
        assert [item["outcome"] for item in first.json()["items"]] == [
            "succeeded",
            "invalid_credentials",
        ]
        cursor = first.json()["next_cursor"]
        query = {"limit": 2, "cursor": cursor}
        rest = await world.call("GET", HISTORY, principal=principal, query=query)
        [item] = rest.json()["items"]
        assert rest.json()["next_cursor"] is None
        assert set(item) == {"time", "ip", "user_agent", "outcome"}
        assert (item["ip"], item["user_agent"]) == ("198.51.100.7", "identity-tests")

    async def test_shows_only_ones_own(self, world: World) -> None:
        """Bob's logins are not Ada's business."""
        ada = await world.register("ada")
        await world.register("bob")
        await world.login("bob", PASSWORD)
        answer = await world.call("GET", HISTORY, principal=ada.principal())
        assert answer.json() == {"items": [], "next_cursor": None}

    async def test_refuses_nonsense_in_the_query(self, world: World) -> None:
        """400 with the name of the parameter."""
        ada = await world.register()
        for query in ({"limit": 0}, {"limit": 2**63}, {"cursor": "x"}, {"page": 1}):
            answer = await world.call("GET", HISTORY, principal=ada.principal(), query=query)
            assert answer.status_code == 400
            assert codes_of(answer)
