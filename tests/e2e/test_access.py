"""Who may call what: every cell of access.toml, and what no table lists."""

import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import httpx
import pytest

from gateway.routing.loading import BUILT_IN
from tests.platforms.access import CALLERS, Call, promote, read_table, send
from tests.platforms.person import Person
from tests.platforms.platform import Platform

pytestmark = pytest.mark.slow

TABLE = read_table()
CELLS = [
    pytest.param(call, caller, id=f"{call.method} {call.path} as {caller}: {call.statuses[caller]}")
    for call in TABLE
    for caller in CALLERS
]
READS = [call for call in TABLE if call.method == "GET"]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
REFUSALS = {(401, "nobody"): "unauthenticated", (401, "disabled"): "token_revoked"}
NOWHERE = (
    "/api",
    "/api/v1",
    "/api/v1/admin",
    "/api/v1/admin/",
    "/api/v1/admin/users/",
    "/api/v1/admin/keys/nothing",
    "/api/v1/auth",
    "/api/v1/users/somebody",
    "/API/V1/ADMIN/USERS",
    "/api/v2/admin/users",
    "/internal/v1/authenticate",
    "/internal/v1/revocations",
    "/internal/v1/subject-changes",
    "/internal/v1/ip-blocks",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/pages/verify-email.html",
    "/.well-known/openid-configuration",
)


class TestTheTable:
    """Every role and nobody, at every route."""

    def test_names_every_route_and_no_other(self) -> None:
        """A route without a row here would be nobody's decision."""
        document = tomllib.loads(BUILT_IN.read_text(encoding="utf-8"))
        routed = [(m, route["path"]) for route in document["route"] for m in route["methods"]]

        assert sorted((call.method, call.path) for call in TABLE) == sorted(routed)

    @pytest.mark.parametrize(("call", "caller"), CELLS)
    def test_holds(
        self, client: httpx.Client, tokens: dict[str, str | None], call: Call, caller: str
    ) -> None:
        """The status of the cell, and the gateway's own code where it refuses."""
        answer = send(client, call, tokens[caller])

        status = call.statuses[caller]
        assert answer.status_code == status, answer.text
        if status in (401, 403):
            assert answer.json()["code"] == REFUSALS.get((status, caller), "forbidden")

    @pytest.mark.parametrize("call", READS, ids=lambda call: call.path)
    def test_holds_for_head_as_for_get(
        self, client: httpx.Client, tokens: dict[str, str | None], call: Call
    ) -> None:
        """Without a body."""
        for caller in CALLERS:
            answer = send(client, replace(call, method="HEAD"), tokens[caller])

            assert (answer.status_code, answer.content) == (call.statuses[caller], b"")


class TestWhatIsNotListed:
    """Default deny."""

    @pytest.mark.parametrize("path", NOWHERE)
    def test_is_not_found_whoever_asks(
        self, client: httpx.Client, tokens: dict[str, str | None], path: str
    ) -> None:
        """Also to administrators."""
        for token in (None, tokens["admin"]):
            call = Call("POST" if path.startswith("/internal") else "GET", path, {})
            answer = send(client, call, token)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @pytest.mark.parametrize("path", sorted({call.path for call in TABLE}))
    def test_methods_are_not_allowed_whoever_asks(
        self, client: httpx.Client, tokens: dict[str, str | None], path: str
    ) -> None:
        """The answer names those that are."""
        listed = {call.method for call in TABLE if call.path == path}
        allowed = sorted(listed | ({"HEAD"} if "GET" in listed else set()))
        for method in sorted(set(METHODS) - listed):
            for token in (None, tokens["admin"]):
                answer = send(client, Call(method, path, {}), token)
                assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
                assert answer.headers["allow"] == ", ".join(allowed)


@dataclass
class People:
    """Accounts that act, and accounts that are acted on."""

    moderator: Person
    others: dict[str, Person]


@pytest.fixture
async def people(relaxed: Platform) -> AsyncIterator[People]:
    """Make a moderator and one account of each role."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(relaxed.admin())
        joined = []
        for role in ("moderator", "user", "moderator", "admin"):
            person = await stack.enter_async_context(relaxed.person())
            await person.join()
            if role != "user":
                await promote(admin, person, role)
            joined.append((role, person))
        yield People(joined[0][1], dict(joined[1:]))


def _moderated(user_id: str) -> Iterator[tuple[str, str, int]]:
    """List what a moderator may do to a plain user, with the status it has then."""
    path = f"/api/v1/admin/users/{user_id}"
    yield "GET", path, 200
    yield "GET", f"{path}/failed-logins", 200
    yield "POST", f"{path}/lock", 200
    yield "POST", f"{path}/unlock", 200
    yield "DELETE", f"{path}/sessions", 204


class TestModerators:
    """They act on accounts whose roles are exactly `user`."""

    @pytest.mark.parametrize("role", ["moderator", "admin"])
    async def test_find_nobody_with_a_role_above(self, people: People, role: str) -> None:
        """404 for reading, locking, unlocking and logging out; not in the list either."""
        moderator, other = people.moderator, people.others[role]
        for method, path, _ in _moderated(other.user_id):
            answer = await moderator.call(method, path, token=moderator.access_token)
            assert answer.status_code == 404, path

        path = f"/api/v1/admin/users?q={other.username}"
        listed = await moderator.call("GET", path, token=moderator.access_token)
        assert listed.json()["items"] == []
        assert (await other.me()).status_code == 200

    async def test_may_read_lock_unlock_and_log_out_a_user(self, people: People) -> None:
        """All of it works."""
        moderator, other = people.moderator, people.others["user"]
        for method, path, status in _moderated(other.user_id):
            answer = await moderator.call(method, path, token=moderator.access_token)
            assert answer.status_code == status, (path, answer.text)

    async def test_may_not_act_on_themselves(self, people: People) -> None:
        """Their own roles are above `user` as well."""
        moderator = people.moderator
        path = f"/api/v1/admin/users/{moderator.user_id}/unlock"
        answer = await moderator.call("POST", path, token=moderator.access_token)
        assert answer.status_code == 404


class TestIdsOfOthers:
    """What belongs to somebody else does not exist."""

    async def test_a_session_of_another_user_is_404(self, relaxed: Platform) -> None:
        """And goes on."""
        async with relaxed.person() as mine, relaxed.person() as yours:
            await mine.join()
            await yours.join()
            path = f"/api/v1/sessions/{yours.tokens['session_id']}"
            answer = await mine.call("DELETE", path, token=mine.access_token)

            assert answer.status_code == 404
            assert (await yours.me()).status_code == 200

    async def test_an_account_of_another_user_is_403_however_it_is_asked_for(
        self, people: People
    ) -> None:
        """A user has no business with accounts, not even the own one, under /admin."""
        user = people.others["user"]
        for target in (user.user_id, people.moderator.user_id):
            for method, path, _ in _moderated(target):
                answer = await user.call(method, path, token=user.access_token)
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
