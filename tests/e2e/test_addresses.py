"""How an account comes by its address, at the gateway: changed, taken back, edited, imported."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import bcrypt
import httpx

from chassis.testing import eventually
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import NEW_PASSWORD, PASSWORD, Person
from tests.platforms.platform import Platform

USERS = "/api/v1/admin/users"
VERIFY = "/api/v1/auth/email/verify"


async def ask(person: Person, email: str) -> httpx.Response:
    """Ask for another address."""
    body = {"email": email, "current_password": person.password}
    return await person.call("POST", "/api/v1/users/me/email", body, token=person.access_token)


async def press(person: Person, path: str, to: str, page: str) -> httpx.Response:
    """Open the newest link to *page* that was mailed to *to*, and press its button."""
    mail = await wait_for_mail(person._mailbox, to, containing=page)
    return await person.call("POST", path, {"token": mail.token})


async def email_of(person: Person) -> str:
    """Return the address of the own profile."""
    return str((await person.me()).json()["email"])


class TestChange:
    """A person moves to another mailbox."""

    async def test_both_mailboxes_are_told_and_the_new_one_confirms(self, person: Person) -> None:
        """Until then nothing changes; the session goes on."""
        await person.join()
        new = f"new-{person.email}"
        assert (await ask(person, new)).status_code == 202
        notice = await wait_for_mail(person._mailbox, person.email, containing="revert-email")
        assert await email_of(person) == person.email
        page = await person.call("GET", "/revert-email")
        assert page.status_code == 200
        assert (await press(person, VERIFY, new, "verify-email")).status_code == 200
        assert await email_of(person) == new
        told = await wait_for_mail(person._mailbox, person.email, containing="was changed")
        assert "earlier mail" in told.text
        assert notice.token.startswith("gh_er_")

    async def test_the_old_mailbox_takes_it_back(self, person: Person, admin: Person) -> None:
        """Every session ends within seconds, and only a mailed link leads in again."""
        await person.join()
        thief = f"thief-{person.email}"
        await ask(person, thief)
        assert (await press(person, VERIFY, thief, "verify-email")).status_code == 200
        revert = "/api/v1/users/me/email/revert"
        assert (await press(person, revert, person.email, "revert-email")).status_code == 200

        async def refused() -> bool:
            return (await person.me()).status_code == 401

        await eventually(refused, within=5)
        login = await person.login()
        assert (login.status_code, login.json()["code"]) == (403, "password_reset_required")
        assert (await person.reset(NEW_PASSWORD)).status_code == 200
        assert (await person.login()).status_code == 200
        assert await email_of(person) == person.email

        async def recorded() -> bool:
            path = f"/api/v1/admin/audit?target={person.user_id}&limit=200"
            answer = await admin.call("GET", path, token=admin.access_token)
            causes = [
                item["data"]["cause"]
                for item in answer.json()["items"]
                if item["type"] == "identity.user.email_changed.v1"
            ]
            return sorted(causes) == ["owner", "revert"]

        await eventually(recorded, within=20)


class TestSquatting:
    """Somebody registered the address of another person first (X-27)."""

    async def test_the_owner_gets_the_account(
        self, person: Person, somebody: Callable[[], Person]
    ) -> None:
        """Registering too, the owner is mailed a link; the stranger's password is void."""
        await person.register()
        owner = somebody()
        owner.email, owner.password = person.email, NEW_PASSWORD
        assert (await owner.register()).status_code == 409
        assert (await owner.reset("The-Owners-Word-5")).status_code == 200
        stranger = await person.login()
        assert (stranger.status_code, stranger.json()["code"]) == (401, "invalid_credentials")
        owner.username = person.username
        assert (await owner.login()).status_code == 200


class TestEditing:
    """An administrator corrects an account."""

    async def test_by_administrators_alone(self, person: Person, admin: Person) -> None:
        """A user is refused at the gateway, roles and passwords have their own doors."""
        await person.join()
        path = f"{USERS}/{person.user_id}"
        name = f"x{person.username}"
        refused = await person.call("PATCH", path, {"username": name}, token=person.access_token)
        assert refused.status_code == 403
        odd = await admin.call("PATCH", path, {"roles": ["admin"]}, token=admin.access_token)
        assert (odd.status_code, odd.json()["code"]) == (400, "invalid_input")
        fields = {"username": name, "email": f"desk-{person.email}", "is_verified": True}
        done = await admin.call("PATCH", path, fields, token=admin.access_token)
        assert (done.status_code, done.json()["username"]) == (200, name)
        assert await email_of(person) == f"desk-{person.email}"
        taken = await admin.call(
            "PATCH", path, {"username": admin.username}, token=admin.access_token
        )
        assert taken.status_code == 409
        assert taken.json()["errors"][0]["pointer"] == "/username"


class TestImport:
    """Accounts of another system move in."""

    async def test_lines_are_answered_while_more_are_sent(
        self, admin: Person, platform: Platform, somebody: Callable[[], Person]
    ) -> None:
        """The first hundred are there before the file ends; imported people log in."""
        mover = somebody()
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        first = {
            "email": mover.email,
            "username": mover.username,
            "password_hash": hashed,
            "is_verified": True,
        }
        many = [{"email": f"{n}-{mover.email}"} for n in range(99)]
        heard = asyncio.Event()

        async def lines() -> AsyncIterator[bytes]:
            for line in (first, *many):
                yield json.dumps(line).encode() + b"\n"
            await heard.wait()
            yield b'{"email": "nobody"}\n'

        headers = {
            "Authorization": f"Bearer {admin.access_token}",
            "Content-Type": "application/x-ndjson",
        }
        status, results = await _send(platform, headers, lines(), heard)
        assert status == 200
        assert [line["status"] for line in results[:-1]] == ["created"] * 100 + ["failed"]
        assert results[-1] == {"status": "finished", "created": 100, "exists": 0, "failed": 1}
        assert (await mover.login()).status_code == 200

    async def test_is_for_administrators(self, person: Person) -> None:
        """Refused at the gateway, before the body is read."""
        await person.join()
        answer = await person.call("POST", f"{USERS}/import", {}, token=person.access_token)
        assert answer.status_code == 403


async def _send(
    platform: Platform, headers: dict[str, str], lines: AsyncIterator[bytes], heard: asyncio.Event
) -> tuple[int, list[Any]]:
    """Send *lines* and set *heard* at the first piece of the answer."""
    results = b""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{platform.base_url}{USERS}/import", data=lines, headers=headers) as answer,
    ):
        async for piece in answer.content.iter_any():
            results += piece
            heard.set()
        return answer.status, [json.loads(line) for line in results.splitlines()]
