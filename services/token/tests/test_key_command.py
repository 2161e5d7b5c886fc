"""`python -m services.token keys …`, as an operator runs it: a process of its own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chassis.crypto import b64encode, key_id
from chassis.database import Database
from chassis.testing import FixedClock, FreshDatabase, eventually
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.token.keys import StoredKey
from services.token.repository.signing_keys import list_keys
from services.token.tests.identity_stand_in import TO_IDENTITY_SECRET
from services.token.tests.kit import (
    GATEWAY_SECRET,
    IDENTITY_SECRET,
    ISSUER,
    MIGRATIONS,
    run_world,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = b"k" * 32, b"n" * 32
REASON = "a dump was stolen"


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """One PostgreSQL will do: each of these tests starts processes."""
    return postgres


@pytest.fixture
async def database(make_database: MakeDatabase, clock: FixedClock) -> FreshDatabase:
    """Give a database with one key that signs, as the service has left it."""
    fresh = await make_database("token", MIGRATIONS)
    async with run_world(fresh, clock):
        pass
    await _as_owner(fresh, "UPDATE signing_keys SET published_at = now(), activated_at = now()")
    return fresh


@pytest.fixture
def environment(database: FreshDatabase) -> dict[str, str]:
    """Give what the process is told."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database.app_url,
        "PORT": "0",
        "OPS_PORT": "0",
        "RABBITMQ_URL": "amqp://127.0.0.1:1/",
        "ISSUER": ISSUER,
        "IDENTITY_URL": "http://127.0.0.1:1",
        "ASSERTION_SECRETS_FROM_GATEWAY": b64encode(GATEWAY_SECRET),
        "ASSERTION_SECRETS_FROM_IDENTITY": b64encode(IDENTITY_SECRET),
        "ASSERTION_SECRETS_TO_IDENTITY": b64encode(TO_IDENTITY_SECRET),
        "SIGNING_KEY_ENCRYPTION_KEYS": b64encode(OLD),
    }


class TestCommands:
    """What an operator can do when no administrator can log in."""

    async def test_the_help_shows_examples(self, environment: dict[str, str]) -> None:
        """Of every command."""
        code, out, _ = await _run(environment, "--help")

        assert code == 0
        for name in ("list", "rotate", "revoke", "revoke-all"):
            assert f"python -m services.token keys {name}" in out

    async def test_rotate_list_revoke(
        self, database: FreshDatabase, environment: dict[str, str]
    ) -> None:
        """Each says what it did; repeated, it says the same and does nothing."""
        (first,) = await _keys(database)
        rotated = [await _run(environment, "rotate") for _ in range(2)]
        _, second = await _keys(database)
        listed = await _run(environment, "list")
        revoked = [
            await _run(environment, "revoke", first.life.kid, "--reason", REASON) for _ in range(2)
        ]
        after = await _run(environment, "list")

        assert rotated[0] == rotated[1]
        assert rotated[0][:2][0] == 0
        assert rotated[0][1].startswith(
            f"{second.life.kid} signs instead of {first.life.kid} from 20"
        )
        assert f"{first.life.kid}  ES256  active     signs since 20" in listed[1]
        assert f"{second.life.kid}  ES256  published  published 20" in listed[1]
        assert f"encryption key {key_id(OLD)} holds 2 private keys\n" in listed[1]
        assert revoked[0] == revoked[1]
        assert revoked[0][1].endswith(f"\n{second.life.kid} signs instead of it\n")
        assert f"{second.life.kid}  ES256  active " in after[1]
        assert after[1].count(REASON) == 1

    async def test_revoking_is_told_with_an_actor(
        self, database: FreshDatabase, environment: dict[str, str]
    ) -> None:
        """`operator`: whoever has the machine."""
        (key,) = await _keys(database)

        code, _, err = await _run(environment, "revoke", key.life.kid, "--reason", REASON)

        (body,) = await _told(database, "token.signing_key.revoked.v1")
        assert code == 0, err
        assert (body["actor"], body["data"]["reason"]) == ("operator", REASON)

    async def test_everybody_can_be_logged_out(
        self, database: FreshDatabase, environment: dict[str, str]
    ) -> None:
        """For a reason, by `operator`."""
        (key,) = await _keys(database)

        refused = await _run(environment, "revoke-all")
        code, out, err = await _run(environment, "revoke-all", "--reason", REASON)

        (body,) = await _told(database, "token.sessions.revoked.v1")
        assert refused[0] == 2
        assert code == 0, err
        assert out.startswith("nobody is logged in since 20")
        assert out.endswith(f"\n{key.life.kid} is revoked\n")
        assert (body["actor"], body["data"]["reason"]) == ("operator", REASON)

    async def test_the_way_out_of_a_lost_encryption_key(
        self, database: FreshDatabase, environment: dict[str, str], clock: FixedClock
    ) -> None:
        """Every key that cannot be opened is revoked; the service starts with a new one."""
        await _run(environment, "rotate")
        environment["SIGNING_KEY_ENCRYPTION_KEYS"] = b64encode(NEW)
        lost = [key.life.kid for key in await _keys(database)]
        _, listed, _ = await _run(environment, "list")
        for kid in lost:
            code, _, err = await _run(environment, "revoke", kid, "--reason", "lost its key")
            assert code == 0, err

        (fresh,) = await _keys(database)
        assert f"encryption key {key_id(OLD)} holds 2 private keys, and is not among" in listed
        assert (fresh.life.state, fresh.sealed_under) == ("active", key_id(NEW))
        async with run_world(database, clock, signing_key_encryption_keys=b64encode(NEW)) as world:
            world.identity.register()
            assert await world.client.login()

    @pytest.mark.parametrize("reason", ["", " ", "x" * 501, "a\nb", "a\x1b[2J"])
    async def test_a_reason_is_wanted(self, environment: dict[str, str], reason: str) -> None:
        """Printable, up to 500 characters."""
        code, _, err = await _run(environment, "revoke", "kid", "--reason", reason)

        assert code == 2
        assert "--reason: wanted: 1 to 500 printable characters" in err

    @pytest.mark.parametrize("kid", ["nothing", "-" + "x" * 42])
    async def test_a_key_nobody_has(self, environment: dict[str, str], kid: str) -> None:
        """Also one whose name looks like an option."""
        answer = await _run(environment, "revoke", kid, "--reason", REASON)

        assert answer == (1, "", "There is no such signing key.\n")

    async def test_wants_its_settings(self, environment: dict[str, str]) -> None:
        """Exit 78, with every complaint."""
        del environment["ISSUER"], environment["DATABASE_URL"]

        code, _, err = await _run(environment, "list")

        assert code == 78
        assert "ISSUER: is not set" in err
        assert "DATABASE_URL: is not set" in err

    async def test_says_that_the_database_is_away(self, environment: dict[str, str]) -> None:
        """Exit 1 in one line."""
        environment["DATABASE_URL"] = "postgresql+asyncpg://a:b@127.0.0.1:1/token"

        code, out, err = await _run(environment, "list")

        assert (code, out) == (1, "")
        assert err == "The service cannot reach its database right now.\n"


class TestKilled:
    """kill -9 in the middle of a change: after its first statements, before its last."""

    @pytest.mark.parametrize("arguments", [("rotate",), ("revoke", "KID", "--reason", REASON)])
    async def test_nothing_is_half_done_and_the_next_one_does_it(
        self, database: FreshDatabase, environment: dict[str, str], arguments: tuple[str, ...]
    ) -> None:
        """The lock went with the process; one key signs throughout."""
        before = await _keys(database)
        wanted = [before[0].life.kid if word == "KID" else word for word in arguments]
        async with _stuck(database):
            process = await _start(environment, "keys", *wanted)
            await eventually(lambda: _waits(database))
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        await eventually(lambda: _is_free(database))
        left = await _keys(database)

        code, _, err = await _run(environment, *wanted)

        assert left == before
        assert code == 0, err
        assert [key.life.state for key in await _keys(database)].count("active") == 1
        assert len(await _told(database, "%")) == (1 if wanted == ["rotate"] else 2)

    async def test_a_service_killed_while_it_hands_over(
        self, database: FreshDatabase, environment: dict[str, str]
    ) -> None:
        """The key that signed goes on; the next process hands over, once."""
        await _run(environment, "rotate")
        await _as_owner(
            database, "UPDATE signing_keys SET published_at = now() - interval '11 minutes'"
        )
        before = await _keys(database)
        async with _stuck(database):
            process = await _start(environment)
            await eventually(lambda: _waits(database))
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        await eventually(lambda: _is_free(database))
        left = await _keys(database)

        process = await _start(environment)
        await eventually(lambda: _handed_over(database))
        process.send_signal(signal.SIGKILL)
        await process.communicate()

        states = sorted((key.life.state, key.sealed_under) for key in await _keys(database))
        assert left == before
        assert states == [("active", key_id(OLD)), ("retired", None)]
        assert len(await _told(database, "token.signing_key.rotated.v1")) == 1


async def _start(environment: dict[str, str], *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.token",
        *arguments,
        env=environment,
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )


async def _run(environment: dict[str, str], *arguments: str) -> tuple[int | None, str, str]:
    process = await _start(environment, "keys", *arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def _opened(database: FreshDatabase) -> AsyncIterator[Database]:
    opened = Database(database.owner_url, pool_min=1, pool_max=1)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def _stuck(database: FreshDatabase) -> AsyncIterator[None]:
    """Let nobody write an event, which is the last thing every change does."""
    async with _opened(database) as opened, opened.transaction() as tx:
        await tx.fetch_row("LOCK TABLE outbox IN EXCLUSIVE MODE")
        yield


async def _as_owner(database: FreshDatabase, sql: str) -> None:
    async with _opened(database) as opened, opened.transaction() as tx:
        await tx.fetch_row(sql)


async def _keys(database: FreshDatabase) -> list[StoredKey]:
    async with _opened(database) as opened, opened.transaction() as tx:
        return [*await list_keys(tx)]


async def _told(database: FreshDatabase, type_: str) -> list[dict[str, Any]]:
    async with _opened(database) as opened, opened.transaction() as tx:
        rows = await (await tx.driver()).fetch(
            "SELECT body FROM outbox WHERE routing_key LIKE $1 ORDER BY id", type_
        )
        return [row["body"] for row in rows]


async def _waits(database: FreshDatabase) -> bool:
    """Say whether somebody waits for the table of events, with the lock of rotations held."""
    return await _counts(
        database,
        "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted) = 1"
        " AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'relation' AND NOT granted)",
    )


async def _is_free(database: FreshDatabase) -> bool:
    return await _counts(
        database, "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')"
    )


async def _handed_over(database: FreshDatabase) -> bool:
    return await _counts(
        database, "SELECT EXISTS (SELECT FROM signing_keys WHERE state = 'retired')"
    )


async def _counts(database: FreshDatabase, sql: str) -> bool:
    async with _opened(database) as opened, opened.transaction() as tx:
        row = await tx.fetch_row(sql)
    return bool(row and row[0])
