"""What the original specification promises people, met where they meet it: at the gateway."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from chassis.testing import eventually
from tests.platforms.access import promote
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import NEW_PASSWORD, Person
from tests.platforms.platform import Platform

pytestmark = pytest.mark.slow

SOON = 5.0
LOGIN = "/api/v1/auth/login"


async def _is_dead(person: Person, tokens: dict[str, Any]) -> bool:
    """Say whether neither the access nor the refresh token of a session works any more."""
    if (await person.me(tokens["access_token"])).status_code != 401:
        return False
    body = {"refresh_token": tokens["refresh_token"]}
    return (await person.call("POST", "/api/v1/auth/refresh", body)).status_code == 401


async def _entries(admin: Person, query: str) -> list[dict[str, Any]]:
    path = f"/api/v1/admin/audit?{query}"
    answer = await admin.call("GET", path, token=admin.access_token)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


class TestSessions:
    """Which of them live."""

    async def test_a_new_login_ends_the_earlier_session(self, person: Person) -> None:
        """One session per user, unless a setting allows more."""
        await person.join()
        first = dict(person.tokens)
        assert (await person.login()).is_success

        await eventually(lambda: _is_dead(person, first), within=SOON)
        assert (await person.me()).status_code == 200
        listed = await person.call("GET", "/api/v1/sessions", token=person.access_token)
        current = [(one["id"], one["current"]) for one in listed.json()["sessions"]]
        assert current == [(person.tokens["session_id"], True)]

    async def test_are_refreshed_ten_times_a_minute(self, person: Person) -> None:
        """Beyond that 429 names the limit, and the token is not spent."""
        await person.join()
        answers = [await person.refresh() for _ in range(10)]
        refused = await person.refresh()
        while refused.is_success:  # on a machine so slow that some have come back
            refused = await person.refresh()

        assert {answer.status_code for answer in answers} == {200}
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["ratelimit-policy"] == '"per_session";q=10;w=60'
        assert 1 <= int(refused.headers["retry-after"]) <= 6
        assert (await person.me()).status_code == 200

    async def test_are_listed_in_pages(self, relaxed: Platform) -> None:
        """As many as one likes, each once."""
        async with relaxed.person() as person:
            await person.join()
            for _ in range(2):
                assert (await person.login()).is_success
            listed: list[list[bool]] = []
            cursor: str | None = ""
            while cursor is not None:
                path = f"/api/v1/sessions?limit=2{cursor and f'&cursor={cursor}'}"
                page = (await person.call("GET", path, token=person.access_token)).json()
                listed.append([one["current"] for one in page["sessions"]])
                cursor = page["next_cursor"]

        assert listed == [[True, False], [False]]

    async def test_a_password_change_ends_the_others(self, relaxed: Platform) -> None:
        """The one it was made in goes on."""
        async with relaxed.person() as person:
            await person.join()
            other = dict(person.tokens)
            assert (await person.login()).is_success
            body = {"current_password": person.password, "new_password": NEW_PASSWORD}
            path = "/api/v1/auth/password-change"
            changed = await person.call("POST", path, body, token=person.access_token)

            assert changed.status_code == 200, changed.text
            await eventually(lambda: _is_dead(person, other), within=SOON)
            assert (await person.me()).status_code == 200
            assert (await person.login()).status_code == 401
            assert (await person.login(NEW_PASSWORD)).status_code == 200

    @pytest.mark.parametrize("action", ["lock", "disable", "delete"])
    async def test_end_with_what_an_administrator_does_to_the_account(
        self, relaxed: Platform, action: str
    ) -> None:
        """Locked, disabled, deleted: within moments nothing of it works."""
        async with relaxed.person() as person, relaxed.admin() as admin:
            await person.join()
            path = f"/api/v1/admin/users/{person.user_id}"
            method = "DELETE" if action == "delete" else "POST"
            target = path if action == "delete" else f"{path}/{action}"
            assert (await admin.call(method, target, token=admin.access_token)).is_success

            await eventually(lambda: _is_dead(person, person.tokens), within=SOON)
            expected = 401 if action == "delete" else 403
            assert (await person.login()).status_code == expected

    async def test_one_can_be_ended_by_its_user(self, relaxed: Platform) -> None:
        """The others go on."""
        async with relaxed.person() as person:
            await person.join()
            lost = dict(person.tokens)
            assert (await person.login()).is_success
            path = f"/api/v1/sessions/{lost['session_id']}"
            assert (await person.call("DELETE", path, token=person.access_token)).status_code == 204

            await eventually(lambda: _is_dead(person, lost), within=SOON)
            assert (await person.me()).status_code == 200


class TestLockout:
    """Guessing, seen from all sides."""

    async def test_an_attack_from_a_hundred_addresses_does_not_lock_the_owner_out(
        self, relaxed: Platform
    ) -> None:
        """The known device passes; everybody else meets the lock, with the right password too."""
        async with AsyncExitStack() as stack:
            owner = await stack.enter_async_context(relaxed.person())
            await owner.join()
            device = owner.tokens["device_token"]
            attackers = [
                await stack.enter_async_context(relaxed.person(owner.username)) for _ in range(100)
            ]
            guesses = [attacker.login("Wrong-Horse-9!") for attacker in attackers]
            codes = [(await guess).json()["code"] for guess in guesses]
            body = {"username": owner.username, "password": owner.password}
            known = await owner.call("POST", LOGIN, body | {"device_token": device})
            stranger = await attackers[0].login(owner.password)

        assert codes == ["invalid_credentials"] * 5 + ["account_locked"] * 95
        assert known.status_code == 200
        assert (stranger.status_code, stranger.json()["code"]) == (403, "account_locked")

    async def test_is_told_and_lifted_by_a_moderator(self, relaxed: Platform) -> None:
        """By mail to the owner, by an event with its cause, and in the list of failures."""
        async with relaxed.person() as owner, relaxed.person() as moderator:
            await owner.join()
            await moderator.join()
            for _ in range(5):
                await owner.login("Wrong-Horse-9!")
            async with relaxed.admin() as admin:
                await promote(admin, moderator, "moderator")
                mail = await wait_for_mail(relaxed.mailbox, owner.email, containing="locked")
                query = f"target={owner.user_id}&type=identity.user.locked.v1"
                (locked,) = await eventually(lambda: _entries(admin, query), within=20)
            path = f"/api/v1/admin/users/{owner.user_id}"
            token = moderator.access_token
            failed = await moderator.call("GET", f"{path}/failed-logins", token=token)
            refused = await owner.login()
            unlocked = await moderator.call("POST", f"{path}/unlock", token=token)
            served = await owner.login()

        assert owner.username in mail.text
        assert locked["data"]["cause"] == "failures"
        assert [item["ip"] for item in failed.json()["items"]] == [owner.address] * 5
        assert (refused.status_code, unlocked.status_code, served.status_code) == (403, 200, 200)
        assert unlocked.json()["is_locked"] is False

    async def test_is_cleared_by_a_reset(self, relaxed: Platform) -> None:
        """Whoever has the mailbox is let in."""
        async with relaxed.person() as owner:
            await owner.join()
            for _ in range(5):
                await owner.login("Wrong-Horse-9!")
            locked = await owner.login()
            assert (await owner.ask_for_reset()).is_success
            assert (await owner.reset()).is_success
            opened = await owner.login()

        assert (locked.status_code, opened.status_code) == (403, 200)

    async def test_never_takes_parallel_right_logins_for_an_attack(self, relaxed: Platform) -> None:
        """Each is let in or asked to come again; none is called wrong or locked."""
        async with relaxed.person() as owner:
            await owner.join()
            answers = await asyncio.gather(*(owner.login() for _ in range(20)))

        assert {answer.status_code for answer in answers} <= {200, 429}
        assert any(answer.is_success for answer in answers)


class TestPasswords:
    """One set of rules."""

    @pytest.mark.parametrize(
        "password", ["Sh0rt!", "no-capitals-7!", "No-Numbers-Here!", "NoSpecials77", "Password1!"]
    )
    async def test_have_the_same_verdict_everywhere(self, relaxed: Platform, password: str) -> None:
        """At registration, change and reset: the same codes."""
        async with relaxed.person() as person, relaxed.person() as newcomer:
            await person.join()
            newcomer.password = password
            change = {"current_password": person.password, "new_password": password}
            path = "/api/v1/auth/password-change"
            changed = await person.call("POST", path, change, token=person.access_token)
            assert (await person.ask_for_reset()).is_success
            answers = [await newcomer.register(), changed, await person.reset(password)]

        assert [answer.status_code for answer in answers] == [400] * 3
        verdicts = [sorted(e["code"] for e in answer.json()["errors"]) for answer in answers]
        assert verdicts[0]
        assert verdicts == [verdicts[0]] * 3


class TestProfile:
    """What people see of themselves."""

    async def test_login_history_tells_when_from_where_and_how_it_ended(
        self, person: Person
    ) -> None:
        """Page by page, the newest first."""
        await person.join()
        assert (await person.login("Wrong-Horse-9!")).status_code == 401
        path, token = "/api/v1/users/me/login-history?limit=1", person.access_token
        newest = (await person.call("GET", path, token=token)).json()
        path = f"{path}&cursor={newest['next_cursor']}"
        oldest = (await person.call("GET", path, token=token)).json()
        items = newest["items"] + oldest["items"]

        assert [item["ip"] for item in items] == [person.address] * 2
        assert [item["outcome"] for item in items] == ["invalid_credentials", "succeeded"]
        assert oldest["next_cursor"] is None
        assert {"time", "ip", "user_agent", "outcome"} == set(items[0])

    async def test_deletion_needs_the_password_and_leaves_nothing_personal(
        self, relaxed: Platform
    ) -> None:
        """Neither the log nor the ledger of mails names the person afterwards."""
        async with relaxed.person() as person, relaxed.admin() as admin:
            await person.join()
            export, ledger = "/api/v1/admin/audit/export", "/api/v1/admin/messages?limit=200"

            async def known() -> bool:
                log = await admin.call("GET", export, token=admin.access_token)
                return person.username in log.text

            await eventually(known, within=20)
            path, token = "/api/v1/users/me", person.access_token
            wrong = await person.call("DELETE", path, {"password": "Wrong-Horse-9!"}, token=token)
            right = await person.call("DELETE", path, {"password": person.password}, token=token)
            assert (wrong.status_code, right.status_code) == (401, 204)

            async def forgotten() -> bool:
                for target in (export, ledger):
                    answer = await admin.call("GET", target, token=admin.access_token)
                    assert answer.is_success
                    assert person.username not in answer.text
                log = await admin.call("GET", export, token=admin.access_token)
                return log.text.count(person.user_id) == 0

            await eventually(forgotten, within=20)


class TestAnswers:
    """What every answer about credentials carries."""

    async def test_are_never_stored(self, person: Person) -> None:
        """By no cache, with the security headers of every answer."""
        await person.register()
        await person.verify()
        answers = [await person.login(), await person.refresh(), await person.me()]
        answers.append(await person.login("Wrong-Horse-9!"))

        for answer in answers:
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["strict-transport-security"]

    async def test_a_fourth_reset_request_of_an_hour_is_429(self, person: Person) -> None:
        """From one address, whomever it asks for; resending a verification link counts too."""
        answers = [await person.ask_for_reset() for _ in range(3)]
        path = "/api/v1/auth/email/resend-verification"
        answers.append(await person.call("POST", path, {"email": person.email}))

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        refused = answers[-1]
        assert refused.json()["code"] == "rate_limited"
        assert 0 < int(refused.headers["retry-after"]) <= 1200
        assert refused.headers["ratelimit"].startswith('"password_reset";r=0;t=')
        assert '"password_reset";q=3;w=3600' in refused.headers["ratelimit-policy"]
