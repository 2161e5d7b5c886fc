"""Ending the sessions of others: /api/v1/admin/users/{id}/sessions."""

from dataclasses import replace
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.identity import UserDeleted, UserDisabled, UserRolesChanged
from services.token.tests.identity_stand_in import Account
from services.token.tests.kit import World


def path(user_id: object) -> str:
    """Return where the sessions of a user are ended."""
    return f"/api/v1/admin/users/{user_id}/sessions"


async def end(world: World, who: str, target: object) -> httpx.Response:
    """Have *who* log in and end the sessions of *target*."""
    principal = await world.principal(await world.client.login(who))
    return await world.client.send("DELETE", path(target), principal=principal)


@pytest.fixture
def ada(world: World) -> Account:
    """Give a plain user, beside one user of every other role."""
    for role in ("moderator", "admin"):
        world.identity.register(role, roles=("user", role))
    return world.identity.register()


@pytest.mark.usefixtures("ada")
class TestWhoMay:
    """Administrators, and moderators for plain users."""

    @pytest.mark.parametrize("who", ["admin", "moderator"])
    async def test_the_sessions_of_a_plain_user_end(
        self, world: World, ada: Account, who: str
    ) -> None:
        """204, tokens dead; the event has the reason and the actor. Twice is no error."""
        tokens = await world.client.login()

        answers = [await end(world, who, ada.user_id) for _ in range(2)]

        events = await world.events("token.session.ended.v1")
        (ended,) = [event for event in events if event["subject"] == str(ada.user_id)]
        actor = world.identity.accounts[who].user_id
        assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
        assert (ended["data"]["reason"], ended["actor"]) == ("admin", str(actor))
        assert tokens["session_id"] in await world.denied_sids()
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 401
        await world.client.login()

    @pytest.mark.parametrize("target", ["admin", "moderator"])
    async def test_for_moderators_nobody_else_exists(self, world: World, target: str) -> None:
        """Neither administrators nor other moderators."""
        world.identity.register("other", roles=("user", target))
        await world.client.login("other")

        answer = await end(world, "moderator", world.identity.accounts["other"].user_id)

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert await world.denied_sids() == set()

    async def test_an_administrator_may_for_everybody(self, world: World) -> None:
        """Moderators too."""
        await world.client.login("moderator")

        answer = await end(world, "admin", world.identity.accounts["moderator"].user_id)

        assert answer.status_code == 204
        assert len(await world.denied_sids()) == 1

    async def test_users_and_strangers_may_not(self, world: World, ada: Account) -> None:
        """403 and 401, whether or not the target exists."""
        world.identity.register("eve")
        for target in (ada.user_id, uuid4()):
            answer = await end(world, "eve", target)
            assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
            stranger = await world.client.send("DELETE", path(target))
            assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")

    @pytest.mark.parametrize("kind", [UserRolesChanged, UserDisabled])
    async def test_what_token_knows_counts_more_than_an_old_token(
        self, world: World, ada: Account, kind: type[UserRolesChanged | UserDisabled]
    ) -> None:
        """Somebody demoted or disabled a moment ago is nobody any more."""
        boss = world.identity.accounts["admin"]
        principal = await world.principal(await world.client.login("admin"))
        more = {"roles": ("user",), "previous_roles": ("user", "admin")}
        data = {"user_id": boss.user_id, **(more if kind is UserRolesChanged else {})}
        await world.push(world.event(kind.model_validate(data), 2))

        answer = await world.client.send("DELETE", path(ada.user_id), principal=principal)

        assert answer.status_code == 403

    async def test_a_claimed_role_alone_is_none(self, world: World, ada: Account) -> None:
        """Roles have to be in the token and known here."""
        world.identity.register("eve")
        principal = await world.principal(await world.client.login("eve"))
        claimed = replace(principal, roles=frozenset({"user", "admin"}))

        answer = await world.client.send("DELETE", path(ada.user_id), principal=claimed)

        assert answer.status_code == 403


@pytest.mark.usefixtures("ada")
class TestWhoIsMeant:
    """The user in the path."""

    async def test_nobody(self, world: World) -> None:
        """An unknown id, no id at all, and a deleted user look the same; nothing is stored."""
        gone = world.identity.register("gone")
        await world.client.login("gone")
        await world.push(world.event(UserDeleted(user_id=gone.user_id), 2))
        principal = await world.principal(await world.client.login("admin"))
        before = await world.count("subjects")

        answers = [
            await world.client.send("DELETE", path(target), principal=principal)
            for target in (uuid4(), UUID(int=0), "garbage", "0", "%00", gone.user_id)
        ]

        bodies = [{**answer.json(), "request_id": ""} for answer in answers]
        assert {answer.status_code for answer in answers} == {404}
        assert all(body == bodies[0] for body in bodies)
        assert await world.count("subjects") == before

    async def test_somebody_who_never_logged_in(self, world: World, ada: Account) -> None:
        """Identity knows of them: nothing is to be ended, which is no error."""
        assert (await end(world, "moderator", ada.user_id)).status_code == 204
