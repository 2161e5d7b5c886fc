"""The one statement of the usual refresh: it claims what the domain's rules would let pass."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from chassis.outbox import Row
from chassis.testing import eventually
from services.token.domain.refresh import Allowance, Decision, decide
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.refresh_tokens import find_token, lock_family
from services.token.repository.rotations import Claim, Conditions, claim_at_once
from services.token.service.rotation import is_alive
from services.token.tests.kit import World

USABLE_FOR = timedelta(minutes=5)
ALLOWANCE = Allowance(10, timedelta(minutes=1))

# By whom the family is changed, and to what.
CHANGES = {
    "status": "UPDATE subjects SET status = 'disabled', status_version = status_version + 1",
    "reset": "UPDATE subjects SET sessions_valid_from = 100",
    "logout": "UPDATE sessions SET ended_at = now(), ended_reason = 'logout'",
    "rotation": "UPDATE refresh_tokens SET spent_at = now()",
}
# Each of them at the border, and a microsecond before or after it.
MOMENTS = {
    "idle": "UPDATE sessions SET expires_at = {}",
    "absolute": "UPDATE sessions SET absolute_expires_at = {}",
    "token": "UPDATE refresh_tokens SET expires_at = {}",
    "confirmed": "UPDATE subjects SET checked_at = {} - interval '5 minutes'",
    "paid": "UPDATE sessions SET refreshes_paid_until = {} + interval '54 seconds'",
}
CONDITIONS = {
    **CHANGES,
    **{
        f"{name} {offset:+d}": statement.format(f"timestamptz '{{now}}' + interval '{offset} us'")
        for name, statement in MOMENTS.items()
        for offset in (-1, 0, 1)
    },
    "nothing": "SELECT 1",
    "roles": "UPDATE subjects SET roles = '{{admin}}', roles_version = roles_version + 1",
    "lock": "UPDATE subjects SET status = 'locked'",
    "deleted": "UPDATE subjects SET status = 'deleted'",
    "never confirmed": "UPDATE subjects SET checked_at = NULL",
    "never paid": "UPDATE sessions SET refreshes_paid_until = NULL",
    "lift": "UPDATE sessions SET subject_version = subject_version + 1",
    "everybody": "INSERT INTO global_revocations VALUES (1, now(), 'test', NULL)",
    "later epoch": "UPDATE sessions SET epoch = 1",
}
WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


class Case:
    """A session to be refreshed."""

    def __init__(self, world: World, secret: RefreshSecret, session_id: UUID) -> None:
        self._world = world
        self._secret = secret
        self.session_id = session_id
        self.now = now = world.clock.now()
        self._claim = Claim(
            spent=secret.hash,
            spent_by=b"client",
            successor=RefreshSecret.new().hash,
            sealed_successor="sealed",
            now=now,
            idle_end=now + timedelta(days=1),
            client_address=None,
            user_agent=None,
            device=None,
            charge=ALLOWANCE.interval,
        )
        self._announcement: Row = (uuid4(), "auth.events", "token.token.refreshed.v1", "{}")

    async def claim(self, proven_sid: UUID | None = None) -> bool:
        """Claim the token if nothing is amiss."""
        conditions = Conditions(
            checked_since=self.now - USABLE_FOR,
            paid_by=ALLOWANCE.latest(self.now),
            proven_sid=proven_sid,
        )
        async with self._world.database.statements() as each:
            grant = await claim_at_once(each, self._claim, conditions, self._announcement)
        assert grant is None or grant.session_id == self.session_id
        return grant is not None

    async def is_allowed(self) -> bool:
        """Say what the domain's rules say."""
        async with self._world.database.transaction() as tx:
            family = await lock_family(tx, self._secret.hash)
            token = await find_token(tx, self._secret.hash)
        assert family is not None
        assert token is not None
        paid_until = family.session.refreshes_paid_until
        allowance = Allowance(ALLOWANCE.times, ALLOWANCE.period, paid_until)
        return (
            is_alive(family, self.now)
            and family.subject.age(self.now) <= USABLE_FOR
            and not allowance.wait(self.now)
            and decide(token, now=self.now, client=b"", grace=timedelta()) is Decision.ROTATE
        )

    async def traces(self) -> tuple[int, int]:
        """Return how many tokens there are, and how often the claim was announced."""
        tokens = await self._world.count("refresh_tokens")
        announced = await self._world.rows(
            "SELECT 1 FROM outbox WHERE event_id = :id", id=self._announcement[0]
        )
        return tokens, len(announced)


@pytest.fixture
async def case(world: World) -> Case:
    """Return a session that has just begun."""
    world.identity.register()
    tokens = await world.client.login()
    secret = RefreshSecret.parse(tokens["refresh_token"])
    assert secret is not None
    return Case(world, secret, UUID(tokens["session_id"]))


async def is_waiting(world: World) -> bool:
    """Say whether somebody waits for a lock."""
    rows: list[Any] = await world.rows(WAITING)
    return bool(rows[0].n)


class TestClaimAtOnce:
    """`claim_at_once`."""

    async def test_rotates_and_announces(self, case: Case) -> None:
        """The successor is there, and the event with it."""
        assert await case.claim(case.session_id)
        assert await case.traces() == (2, 1)

    @pytest.mark.parametrize("name", CONDITIONS)
    async def test_judges_as_the_domain_does(self, world: World, case: Case, name: str) -> None:
        """To the microsecond; what is refused leaves nothing behind."""
        await world.as_owner(CONDITIONS[name].format(now=case.now.isoformat()))
        allowed = await case.is_allowed()
        assert await case.claim() is allowed
        assert await case.traces() == ((2, 1) if allowed else (1, 0))

    async def test_leaves_the_session_of_somebody_else(self, case: Case) -> None:
        """Than the one a CSRF token was proven for."""
        assert not await case.claim(uuid4())
        assert await case.traces() == (1, 0)

    @pytest.mark.parametrize("name", CHANGES)
    async def test_waits_for_whoever_is_changing_it(
        self, world: World, case: Case, name: str
    ) -> None:
        """What it waited for is judged as it has become, not as it was when the wait began."""
        async with world.database.transaction() as tx:
            await tx.execute(sa.text(CHANGES[name]))
            claiming = asyncio.create_task(case.claim())
            await eventually(lambda: is_waiting(world))
        assert not await claiming
        assert await case.traces() == (1, 0)

    @pytest.mark.parametrize("table", ["subjects", "sessions"])
    async def test_goes_on_when_a_lock_changed_nothing(
        self, world: World, case: Case, table: str
    ) -> None:
        """A login that was refused in the end, say."""
        async with world.database.transaction() as tx:
            await tx.execute(sa.text(f"SELECT 1 FROM {table} FOR UPDATE"))  # noqa: S608 - our own words
            claiming = asyncio.create_task(case.claim())
            await eventually(lambda: is_waiting(world))
        assert await claiming
        assert await case.traces() == (2, 1)
