"""The one statement of the usual login: it starts only beside what was read."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from chassis.testing import eventually
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Session
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.starts import Room, Start, find_room, start_session, start_unchanged
from services.token.tests.kit import World

CHANGES = {
    "roles": "UPDATE subjects SET roles_version = roles_version + 1",
    "a reset": "UPDATE subjects SET sessions_valid_from = sessions_valid_from + 1",
    "nothing but the row": "UPDATE subjects SET status = status",
    "everybody is logged out": "INSERT INTO global_revocations VALUES (1, now(), 'test', NULL)",
}
WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


async def room_of(world: World) -> Room:
    """Read the one subject there is, who has just logged out."""
    world.identity.register()
    tokens = await world.client.login()
    await world.client.logout(await world.principal(tokens))
    (row,) = await world.rows("SELECT user_id FROM subjects")
    async with world.database.statements() as each:
        room = await find_room(each, row.user_id)
    assert room is not None
    return room


def start_in(world: World, room: Room) -> Start:
    """Return a session of that subject."""
    now = world.clock.now()
    lasting = now + timedelta(days=1)
    session = Session(
        id=uuid4(),
        user_id=room.subject.user_id,
        subject_version=room.subject.roles_version,
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
    return Start(room.subject, session, first, announcement)


async def start_at_once(world: World, room: Room, start: Start) -> bool:
    """Start it if nothing has changed."""
    async with world.database.statements() as each:
        return await start_unchanged(each, start, room)


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


class TestStartUnchanged:
    """Session, token and event together, or nothing."""

    async def test_starts_beside_what_was_read(self, world: World) -> None:
        """The session that has ended is not counted."""
        room = await room_of(world)
        start = start_in(world, room)
        assert room.running == 0
        assert await start_at_once(world, room, start)
        assert await traces(world, start) == (1, 1, 1)

    @pytest.mark.parametrize("change", CHANGES)
    async def test_starts_nothing_after_a_change(self, world: World, change: str) -> None:
        """Whatever has changed in the row of the subject, or for everybody."""
        room = await room_of(world)
        start = start_in(world, room)
        await world.as_owner(CHANGES[change])
        assert not await start_at_once(world, room, start)
        assert await traces(world, start) == (0, 0, 0)

    async def test_of_two_that_read_the_same_one_starts(self, world: World) -> None:
        """The other finds that a session runs: it has to make room first."""
        room = await room_of(world)
        first, second = start_in(world, room), start_in(world, room)
        assert await start_at_once(world, room, first)
        assert not await start_at_once(world, room, second)

    async def test_waits_for_whoever_starts_another(self, world: World) -> None:
        """And sees the row as it is then: with one session more."""
        room = await room_of(world)
        other, start = start_in(world, room), start_in(world, room)
        async with world.database.transaction() as tx:
            await start_session(tx, other)
            starting = asyncio.create_task(start_at_once(world, room, start))
            await eventually(lambda: is_waiting(world))
        assert not await starting
        assert await traces(world, start) == (0, 0, 0)

    async def test_goes_on_when_a_lock_changed_nothing(self, world: World) -> None:
        """A login that was refused in the end, say."""
        room = await room_of(world)
        start = start_in(world, room)
        async with world.database.transaction() as tx:
            await tx.execute(sa.text("SELECT 1 FROM subjects FOR UPDATE"))
            starting = asyncio.create_task(start_at_once(world, room, start))
            await eventually(lambda: is_waiting(world))
        assert await starting
        assert await traces(world, start) == (1, 1, 1)
