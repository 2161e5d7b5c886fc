"""Import: POST /api/v1/admin/users/import, NDJSON in and out."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import bcrypt
import httpx
import pytest
from starlette.types import Message

from chassis.testing import FixedClock
from contracts.commands import SendVerificationMail
from contracts.identity import UserEmailVerified, UserRegistered
from services.identity.domain import imports
from services.identity.domain.imports import MAX_LINE_BYTES, lines_of
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import Somebody, World

IMPORT = "/api/v1/admin/users/import"
NDJSON = {"Content-Type": "application/x-ndjson"}
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ADA: dict[str, Any] = {
    "email": "Ada@example.com",
    "username": "ada",
    "password_hash": HASH,
    "is_verified": True,
    "created_at": "2019-05-01T12:00:00Z",
}


async def send(
    world: World, lines: Sequence[Any] | bytes, *, roles: tuple[str, ...] = ("user", "admin")
) -> httpx.Response:
    """Send *lines* (texts as they are) as somebody with *roles*."""
    boss = await _boss(world)
    if isinstance(lines, bytes):
        content = lines
    else:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        content = "\n".join(texts).encode()
    return await world.call(
        "POST", IMPORT, principal=boss.principal(*roles), content=content, headers=NDJSON
    )


async def _boss(world: World) -> Somebody:
    known = await world.value("SELECT id FROM users WHERE username = 'boss'")
    if known is None:
        return await world.make("boss", "admin")
    return Somebody(id=known, email="boss@example.com", username="boss", password=PASSWORD)


def read(answer: httpx.Response) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what was said of the lines, in their order, and of the whole."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    *lines, end = [json.loads(line) for line in answer.text.splitlines()]
    return sorted(lines, key=lambda line: int(line["line"])), end


def codes(line: dict[str, Any]) -> set[tuple[str, str]]:
    """Return pointer and code of each error of a line."""
    return {(error["pointer"], error["code"]) for error in line.get("errors", ())}


class TestCreated:
    """A line becomes an account."""

    async def test_with_everything_it_had(self, world: World) -> None:
        """Names, age, state; the password opens, and the hash is replaced by ours."""
        lines, end = read(await send(world, [ADA | {"roles": ["moderator"]}]))
        assert [line["status"] for line in lines] == ["created"]
        assert end == {"status": "finished", "created": 1, "exists": 0, "failed": 0}
        [row] = await world.rows("SELECT * FROM users WHERE username = 'ada'")
        assert (str(row.id), row.email, row.password_hash) == (
            lines[0]["id"],
            "Ada@example.com",
            HASH,
        )
        assert row.created_at == datetime(2019, 5, 1, 12, tzinfo=UTC)
        roles = "SELECT array_agg(role ORDER BY role) FROM user_roles WHERE user_id = :id"
        assert await world.value(roles, id=row.id) == ["moderator", "user"]
        assert (await world.login("ada", PASSWORD)).status_code == 200
        upgraded = "SELECT password_hash FROM users WHERE username = 'ada'"
        assert (await world.value(upgraded)).startswith("$argon2id$")
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_is_told_and_mailed_to_nobody(self, world: World) -> None:
        """One event per account, by the administrator; a thousand people get no mail from us."""
        unverified = ADA | {"email": "bob@example.com", "username": "bob", "is_verified": False}
        await send(world, [ADA, unverified])
        first, second = await world.events(UserRegistered)
        assert (first.data["is_verified"], second.data["is_verified"]) == (True, False)
        assert (first.data["email"], first.data["username"]) == ("Ada@example.com", "ada")
        assert first.actor == str((await _boss(world)).id) != first.subject
        assert await world.events(UserEmailVerified) == []
        assert await world.commands(SendVerificationMail) == []

    async def test_without_a_hash_needs_a_reset(self, world: World) -> None:
        """What Firebase or Cognito do not hand out."""
        line = {name: value for name, value in ADA.items() if name != "password_hash"}
        read(await send(world, [line]))
        assert (await world.login("ada", PASSWORD)).json()["code"] == "invalid_credentials"
        body = {"token": await world.reset_token("Ada@example.com"), "new_password": NEW_PASSWORD}
        await world.post("/api/v1/auth/password-reset/verify", body)
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200

    async def test_without_a_username_gets_a_plain_one(self, world: World) -> None:
        """The address logs in, and the name can be changed."""
        lines, _ = read(await send(world, [{"email": "ada@example.com", "is_verified": True}]))
        name = await world.value("SELECT username FROM users WHERE username <> 'boss'")
        assert name == f"user-{lines[0]['id'].replace('-', '')[-12:]}"

    async def test_unverified_ones_begin_to_expire_now(
        self, world: World, clock: FixedClock
    ) -> None:
        """Not with the age they bring along."""
        await send(world, [ADA | {"is_verified": False}])
        since = "SELECT unverified_since FROM users WHERE username = 'ada'"
        assert await world.value(since) == clock.now()
        assert (await world.login("ada", PASSWORD)).json()["code"] == "email_not_verified"


class TestAgain:
    """An import that broke off is sent again."""

    async def test_says_exists_and_changes_nothing(self, world: World) -> None:
        """Same address, whatever else the line says."""
        lines, _ = read(await send(world, [ADA]))
        await world.login("ada", PASSWORD)
        again, end = read(await send(world, [ADA | {"username": "other", "roles": ["moderator"]}]))
        assert again == [{"line": 1, "status": "exists", "id": lines[0]["id"]}]
        assert end["exists"] == 1
        hashed = "SELECT password_hash FROM users WHERE username = 'ada'"
        assert (await world.value(hashed)).startswith("$argon2id$")
        assert len(await world.events(UserRegistered)) == 1

    async def test_twice_in_one_file_is_once(self, world: World) -> None:
        """Also in other capitals."""
        lines, _ = read(
            await send(world, [ADA, ADA | {"email": "ADA@EXAMPLE.COM", "username": "eda"}])
        )
        assert [line["status"] for line in lines] == ["created", "exists"]
        assert lines[0]["id"] == lines[1]["id"]


class TestFailed:
    """One bad line stops nobody else."""

    async def test_each_is_told_with_its_fields(self, world: World) -> None:
        """And the good ones around them are stored."""
        good = [ADA | {"email": f"n{n}@example.com", "username": f"name{n}"} for n in range(3)]
        bad: list[tuple[Any, tuple[str, str]]] = [
            ("{", ("", "malformed_body")),
            ("[]", ("", "malformed_body")),
            ('{"email": "a@example.com", "email": "b@example.com"}', ("", "malformed_body")),
            ({}, ("/email", "missing")),
            (ADA | {"email": "nobody"}, ("/email", "invalid_email")),
            (ADA | {"username": "a b"}, ("/username", "invalid_username")),
            (ADA | {"password_hash": "5f4dcc3b"}, ("/password_hash", "hash_unsupported")),
            (
                ADA | {"password_hash": "$2b$31$" + "e" * 53},
                ("/password_hash", "hash_too_expensive"),
            ),
            (ADA | {"password_hash": "$2b$04$x"}, ("/password_hash", "hash_malformed")),
            (ADA | {"password_hash": "x" * 513}, ("/password_hash", "string_too_long")),
            (ADA | {"password": PASSWORD}, ("/password", "unknown_field")),
            (ADA | {"id": "1"}, ("/id", "unknown_field")),
            (ADA | {"version": 7}, ("/version", "unknown_field")),
            (ADA | {"is_verified": 1}, ("/is_verified", "bool_type")),
            (ADA | {"roles": ["admin"]}, ("/roles/0", "role_not_importable")),
            (ADA | {"roles": ["root"]}, ("/roles/0", "enum")),
            (ADA | {"created_at": "yesterday"}, ("/created_at", "datetime_parsing")),
            (ADA | {"created_at": "2019-05-01T12:00:00"}, ("/created_at", "timezone_aware")),
            (
                ADA | {"created_at": "9999-12-31T23:59:59-14:00"},
                ("/created_at", "datetime_out_of_range"),
            ),
            (
                ADA | {"created_at": "0001-01-01T00:00:00+14:00"},
                ("/created_at", "datetime_out_of_range"),
            ),
            (ADA | {"created_at": "2999-01-01T00:00:00Z"}, ("/created_at", "in_the_future")),
            (ADA | {"email": "a\u0000@example.com"}, ("/email", "control_character")),
            (ADA | {"email": "x" * MAX_LINE_BYTES}, ("", "line_too_long")),
            (ADA | {"username": "boss"}, ("/username", "username_taken")),
        ]
        lines, end = read(
            await send(world, [good[0], *(line for line, _ in bad), good[1], "", "  ", good[2]])
        )
        assert [line["status"] for line in lines] == [
            "created",
            *["failed"] * len(bad),
            "created",
            "created",
        ]
        for said, (line, error) in zip(lines[1 : len(bad) + 1], bad, strict=True):
            assert error in codes(said), (line, said)
        assert (end["created"], end["failed"]) == (3, len(bad))
        assert lines[-1]["line"] == len(bad) + 5

    async def test_bytes_that_are_no_text_fail_alone(self, world: World) -> None:
        """Bad UTF-8 in one line."""
        lines, _ = read(await send(world, b'{"email": "\xff"}\r\n' + json.dumps(ADA).encode()))
        assert [line["status"] for line in lines] == ["failed", "created"]

    async def test_never_shows_what_was_sent(self, world: World) -> None:
        """A hash in an answer would stand in a terminal's history."""
        broken = "$2b$04$broken-hash-of-somebody"
        answer = await send(world, [ADA | {"password_hash": broken}])
        assert broken not in answer.text

    async def test_a_held_address_is_taken(self, world: World) -> None:
        """Its owner may still take a change back."""
        eve = await world.register("eve")
        body = {"email": "new@example.org", "current_password": PASSWORD}
        await world.post("/api/v1/users/me/email", body, principal=eve.principal())
        await world.execute("UPDATE users SET email_folded = 'new@example.org'")
        lines, _ = read(await send(world, [ADA | {"email": eve.email}]))
        assert codes(lines[0]) == {("/email", "email_taken")}


class TestBounds:
    """What one import may be."""

    async def test_only_administrators_may(self, world: World) -> None:
        """By token and by database."""
        answers = [await send(world, [ADA], roles=roles) for roles in (("user",), ("moderator",))]
        assert {(a.status_code, a.json()["code"]) for a in answers} == {(403, "role_required")}
        await world.execute("DELETE FROM user_roles WHERE role = 'admin'")
        assert (await send(world, [ADA])).status_code == 403
        assert (await world.call("POST", IMPORT, content=b"", headers=NDJSON)).status_code == 401

    @pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
    async def test_takes_ndjson_alone(self, kind: str, world: World) -> None:
        """415, with the type to send."""
        boss = await _boss(world)
        answer = await world.call(
            "POST",
            IMPORT,
            principal=boss.principal("admin"),
            content=b"{}",
            headers={"Content-Type": kind},
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        assert "application/x-ndjson" in answer.json()["detail"]

    async def test_nothing_is_a_finished_import(self, world: World) -> None:
        """And leaves the door open for the next."""
        for _ in range(2):
            assert read(await send(world, b""))[1]["status"] == "finished"

    async def test_stops_at_its_number_of_lines(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What came before is stored, and the answer says that there was more."""
        monkeypatch.setattr("services.identity.routes.imports.MAX_LINES", 2)
        lines, end = read(
            await send(
                world,
                [ADA | {"email": f"n{n}@example.com", "username": f"name{n}"} for n in range(4)],
            )
        )
        assert [line["status"] for line in lines] == ["created", "created"]
        assert (end["status"], end["code"], end["created"]) == ("stopped", "too_many_lines", 2)

    async def test_stops_at_its_size(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same code as everywhere."""
        monkeypatch.setattr("services.identity.routes.imports.MAX_BYTES", 10)
        _, end = read(await send(world, [ADA]))
        assert (end["status"], end["code"]) == ("stopped", "payload_too_large")

    async def test_stops_when_nothing_comes(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And lets the next one in."""
        monkeypatch.setattr("services.identity.routes.imports._IDLE_SECONDS", 0.01)
        boss = await _boss(world)
        never = asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield json.dumps(ADA).encode() + b"\n"
            await never.wait()

        assertion = world.sign("POST", IMPORT, boss.principal("user", "admin"))
        answer = await world.client.post(IMPORT, content=stalled(), headers=NDJSON | assertion)
        assert read(answer)[1]["code"] == "request_timeout"
        assert read(await send(world, []))[1]["status"] == "finished"

    async def test_hundreds_go_through_in_batches(self, world: World) -> None:
        """Each line is answered once."""
        many = [{"email": f"n{n}@example.com", "username": f"name{n}"} for n in range(250)]
        lines, end = read(await send(world, many))
        assert [line["line"] for line in lines] == list(range(1, 251))
        assert end["created"] == 250
        assert len(await world.events(UserRegistered)) == 250

    async def test_one_at_a_time(self, world: World) -> None:
        """The second hears 409, and may try again when the first is done."""
        boss = await _boss(world)
        begun, going_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            begun.set()
            yield json.dumps(ADA).encode()[:10]
            await going_on.wait()
            yield json.dumps(ADA).encode()[10:]

        assertion = world.sign("POST", IMPORT, boss.principal("user", "admin"))
        first = asyncio.create_task(
            world.client.post(IMPORT, content=slowly(), headers=NDJSON | assertion)
        )
        await begun.wait()
        second = await send(world, [ADA])
        assert (second.status_code, second.json()["code"]) == (409, "import_running")
        going_on.set()
        assert read(await first)[1]["created"] == 1
        assert read(await send(world, [ADA]))[1]["exists"] == 1

    async def test_a_run_that_never_began_lets_the_next_one_in(self, world: World) -> None:
        """The client was gone before the answer began: its task is cancelled unstarted."""
        boss = await _boss(world)
        path = {"method": "POST", "path": IMPORT, "raw_path": IMPORT.encode(), "query_string": b""}
        signed = NDJSON | world.sign("POST", IMPORT, boss.principal("user", "admin"))
        headers = [(name.lower().encode(), value.encode()) for name, value in signed.items()]
        scope = {"type": "http", "http_version": "1.1", "headers": headers, **path}

        async def never() -> Message:
            raise AssertionError("nobody asked for the body")

        async def gone(_message: Message) -> None:
            raise OSError("the client is gone")

        transport: Any = world.client._transport
        await transport.app(scope, never, gone)
        assert read(await send(world, []))[1]["status"] == "finished"


class TestLines:
    """Splitting what arrives."""

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    async def test_wherever_the_pieces_end(
        self, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Lines come out as they went in; one that is too long is None and nothing more."""
        monkeypatch.setattr(imports, "MAX_LINE_BYTES", 5)
        whole = b"ab\n\n12345\n123456\n1234567890123\nend"

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(whole), size):
                yield whole[start : start + size]

        found = [line async for line in lines_of(pieces())]
        assert found == [b"ab", b"", b"12345", None, None, b"end"]
