"""The one statement of the usual login: it starts only where nothing else is to be done."""

import asyncio
from datetime import timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from chassis.testing import eventually
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Session
from services.token.domain.subjects import Snapshot, Subject
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.starts import Start, start_at_once, start_session
from services.token.repository.subjects import find_subject
from services.token.tests.kit import World

VERSION = 5
KNOWN = {
    "roles_version": (VERSION - 1, VERSION, VERSION + 1),
    "status_version": (VERSION - 1, VERSION, VERSION + 1),
    "sessions_valid_from": (0, VERSION, VERSION + 1),
    "status": ("active", "disabled", "deleted"),
}
WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


async def user_of(world: World) -> UUID:
    """Return the one subject there is, who has just logged out."""
    world.identity.register(version=VERSION)
    tokens = await world.client.login()
    await world.client.logout(await world.principal(tokens))
    (row,) = await world.rows("SELECT user_id FROM subjects")
    return UUID(str(row.user_id))


def start_of(world: World, user_id: UUID) -> Start:
    """Return the start of a session that identity vouches for."""
    now = world.clock.now()
    lasting = now + timedelta(days=1)
    session = Session(
        id=uuid4(),
        user_id=user_id,
        subject_version=VERSION,
        amr=("pwd",),
        scope="",
        authenticated_at=now,
        created_at=now,
        last_used_at=now,
        expires_at=lasting,
        absolute_expires_at=lasting,
    )
    first = RefreshToken(
        hash=RefreshSecret.new().hash, session_id=session.id, generation=1, expires_at=lasting
    )
    announcement = (uuid4(), "auth.events", "token.session.started.v1", "{}")
    subject = Subject.of(vouched(user_id), now=now)
    return Start(subject, session, first, announcement)


def vouched(user_id: UUID) -> Snapshot:
    """Return what identity says of the user."""
    return Snapshot(
        user_id=user_id, roles=frozenset({"user", "editor"}), status="active", version=VERSION
    )


async def started(world: World, start: Start, *, max_sessions: int = 1) -> bool:
    """Start it if nothing is in the way."""
    async with world.database.statements() as each:
        return await start_at_once(each, start, max_sessions=max_sessions)


async def known(world: World, user_id: UUID) -> Subject:
    """Return what is known of the user."""
    async with world.database.transaction() as tx:
        found = await find_subject(tx, user_id)
    assert found is not None
    return found


async def traces(world: World, start: Start) -> tuple[int, int, int]:
    """Count the rows of session, token and event that the start has left."""
    found = []
    for sql, value in (
        ("SELECT 1 FROM sessions WHERE id = :value", start.session.id),
        ("SELECT 1 FROM refresh_tokens WHERE session_id = :value", start.session.id),
        ("SELECT 1 FROM outbox WHERE event_id = :value", start.announcement[0]),
    ):
        found.append(len(await world.rows(sql, value=value)))
    return found[0], found[1], found[2]


async def is_waiting(world: World) -> bool:
    """Say whether somebody waits for a lock."""
    return bool((await world.rows(WAITING))[0].n)


class TestStartAtOnce:
    """Session, token and event together, or nothing."""

    async def test_starts_where_no_session_runs(self, world: World) -> None:
        """The one that has ended is not counted."""
        start = start_of(world, await user_of(world))
        assert await started(world, start)
        assert await traces(world, start) == (1, 1, 1)

    async def test_judges_as_the_domain_does(self, world: World) -> None:
        """It starts what the domain would let start, and leaves the subject as that would.

        What is newer than the answer, if only in part, it leaves to the domain.
        """
        user_id = await user_of(world)
        for row in (dict(zip(KNOWN, values, strict=True)) for values in product(*KNOWN.values())):
            assignments = ", ".join(f"{name} = '{value}'" for name, value in row.items())
            await world.as_owner(f"UPDATE subjects SET {assignments}")  # noqa: S608 - a test's own words
            before, start = await known(world, user_id), start_of(world, user_id)
            judged = before.confirmed(vouched(user_id), now=world.clock.now())
            newest = max(before.roles_version, before.status_version)
            expected = judged.permits(VERSION) and newest <= VERSION
            assert await started(world, start, max_sessions=0) is expected, row
            assert await known(world, user_id) == (judged if expected else before)
            assert await traces(world, start) == ((1, 1, 1) if expected else (0, 0, 0))

    async def test_starts_nothing_for_who_is_unknown(self, world: World) -> None:
        """The row is made in a transaction."""
        start = start_of(world, uuid4())
        assert not await started(world, start)
        assert await traces(world, start) == (0, 0, 0)

    async def test_starts_nothing_in_another_epoch(self, world: World) -> None:
        """Everybody was logged out meanwhile."""
        start = start_of(world, await user_of(world))
        await world.as_owner("INSERT INTO global_revocations VALUES (1, now(), 'test', NULL)")
        assert not await started(world, start)
        assert await traces(world, start) == (0, 0, 0)

    @pytest.mark.parametrize(("max_sessions", "starts"), [(1, 1), (2, 2), (0, 4)])
    async def test_starts_as_many_as_may_run(
        self, world: World, max_sessions: int, starts: int
    ) -> None:
        """Beyond them, somebody has to make room first; 0 is any number."""
        user_id = await user_of(world)
        tried = [
            await started(world, start_of(world, user_id), max_sessions=max_sessions)
            for _ in range(4)
        ]
        assert tried == [True] * starts + [False] * (4 - starts)

    async def test_waits_for_whoever_starts_another(self, world: World) -> None:
        """And sees the row as it is then: with one session more."""
        user_id = await user_of(world)
        other, start = start_of(world, user_id), start_of(world, user_id)
        async with world.database.transaction() as tx:
            await start_session(tx, other)
            starting = asyncio.create_task(started(world, start))
            await eventually(lambda: is_waiting(world))
        assert not await starting
        assert await traces(world, start) == (0, 0, 0)

    async def test_goes_on_when_a_lock_changed_nothing(self, world: World) -> None:
        """A login that was refused in the end, say."""
        start = start_of(world, await user_of(world))
        async with world.database.transaction() as tx:
            await tx.execute(sa.text("SELECT 1 FROM subjects FOR UPDATE"))
            starting = asyncio.create_task(started(world, start))
            await eventually(lambda: is_waiting(world))
        assert await starting
        assert await traces(world, start) == (1, 1, 1)
