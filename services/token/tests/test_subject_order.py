"""Subjects never move downwards: whatever the order of events, and however often each comes.

Histories are made as identity makes them: one version a transaction, some of which tell token
nothing. Then everything that was told arrives in any order, some of it more than once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from contracts.identity import (
    PasswordChanged,
    PasswordReset,
    PasswordResetForced,
    UserDeleted,
    UserDisabled,
    UserEvent,
    UserLocked,
    UserRolesChanged,
)
from contracts.internal import SubjectStatus
from contracts.token import EndReason
from services.token.domain.subjects import Snapshot, Subject, SubjectChange
from services.token.tests.kit import MIGRATIONS, World, run_world

USER = UUID("0190f3a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KINDS = ("roles", "reset", "forced", "changed", "disabled", "enabled", "locked", "renamed")
ENDING: Mapping[str, EndReason] = {
    "reset": "password_reset",
    "forced": "password_reset_forced",
    "changed": "password_changed",
    "disabled": "user_disabled",
    "locked": "user_locked",
    "deleted": "user_deleted",
}
"""What ends sessions, and the reason that is given."""

_STATUSES: Mapping[str, SubjectStatus] = {
    "disabled": "disabled",
    "enabled": "active",
    "locked": "locked",
    "deleted": "deleted",
}
"""What a transaction makes of the status."""


@dataclass(frozen=True)
class State:
    """A user in identity, as of a version."""

    version: int = 1
    roles: frozenset[str] = frozenset({"user"})
    status: SubjectStatus = "active"

    def after(self, kind: str) -> "State":
        """Return the user after one more transaction."""
        version = self.version + 1
        roles = frozenset({f"role-{version}"}) if kind == "roles" else self.roles
        return State(version, roles, _STATUSES.get(kind, self.status))

    def snapshot(self) -> Snapshot:
        """Return what identity answers now."""
        return Snapshot(user_id=USER, roles=self.roles, status=self.status, version=self.version)


@dataclass(frozen=True)
class History:
    """What happened to a user: a kind and the state after it, from version 2 on."""

    kinds: tuple[str, ...]

    @property
    def states(self) -> list[State]:
        """Return the state of every version, from the first."""
        states = [State()]
        for kind in self.kinds:
            states.append(states[-1].after(kind))
        return states

    @property
    def valid_from(self) -> int:
        """Return the last version that ended sessions; 0 when none did."""
        ends = [n for n, kind in enumerate(self.kinds, start=2) if kind in ENDING]
        return max(ends, default=0)

    def changes(self) -> list[SubjectChange]:
        """Return what token is told, as the consumer decodes it."""
        return [
            SubjectChange(
                user_id=USER,
                version=state.version,
                roles=state.roles if kind == "roles" else None,
                status=state.status if kind in ("disabled", "locked", "deleted") else None,
                ends_sessions=ENDING.get(kind),
                erases=kind == "deleted",
            )
            for kind, state in zip(self.kinds, self.states[1:], strict=True)
            if kind == "roles" or kind in ENDING
        ]

    def events(self, user_id: UUID) -> list[tuple[int, UserEvent]]:
        """Return what token is told, each with its version."""
        passed = zip(self.kinds, self.states[1:], strict=True)
        events = [(state.version, _event(kind, user_id, state)) for kind, state in passed]
        return [(version, event) for version, event in events if event is not None]


def _event(kind: str, user_id: UUID, state: State) -> UserEvent | None:
    user: dict[str, Any] = {"user_id": user_id}
    if kind == "roles":
        return UserRolesChanged(**user, roles=tuple(state.roles), previous_roles=())
    if kind == "changed":
        return PasswordChanged(**user, session_id=None)
    if kind == "locked":
        return UserLocked(**user, cause="admin", locked_until=None)
    kinds = {
        "reset": PasswordReset,
        "forced": PasswordResetForced,
        "disabled": UserDisabled,
        "deleted": UserDeleted,
    }
    return kinds[kind](**user) if kind in kinds else None


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Make a history; a deletion is the last thing that happens to anybody."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=7))
    deleted = draw(st.booleans())
    return History((*kinds, *(["deleted"] if deleted else [])))


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[History, list[SubjectChange | Snapshot]]:
    """Make a history, and everything that token hears of it: in any order, some of it twice."""
    history = draw(histories())
    changes = history.changes()
    # Of a deleted user identity answers nothing.
    answers = [state.snapshot() for state in history.states if state.status != "deleted"]
    heard: list[SubjectChange | Snapshot] = [*changes, *draw(st.lists(st.sampled_from(answers)))]
    again = draw(st.lists(st.sampled_from(heard), max_size=6)) if heard else []
    return history, draw(st.permutations([*heard, *again]))


def heard_all(subject: Subject, arriving: Sequence[SubjectChange | Snapshot]) -> list[Subject]:
    """Return the subject after each thing that arrives."""
    steps = [subject]
    for one in arriving:
        if isinstance(one, SubjectChange):
            steps.append(steps[-1].changed(one))
        else:
            steps.append(steps[-1].confirmed(one, now=NOW))
    return steps


class TestDomain:
    """The rule itself."""

    @given(arrivals())
    def test_every_order_ends_in_the_same_subject(
        self, arrived: tuple[History, list[SubjectChange | Snapshot]]
    ) -> None:
        """As if everything had come once and in the order in which it happened."""
        _, arriving = arrived
        in_order = sorted({*arriving}, key=lambda one: one.version)

        subject = heard_all(Subject(user_id=USER), arriving)[-1]
        expected = heard_all(Subject(user_id=USER), in_order)[-1]

        assert replace(subject, checked_at=None) == replace(expected, checked_at=None)

    @given(arrivals())
    def test_no_step_goes_down(
        self, arrived: tuple[History, list[SubjectChange | Snapshot]]
    ) -> None:
        """Neither a version nor the bound of sessions; and nobody comes back from being deleted."""
        steps = heard_all(Subject(user_id=USER), arrived[1])

        for before, after in pairwise(steps):
            assert after.roles_version >= before.roles_version
            assert after.status_version >= before.status_version
            assert after.sessions_valid_from >= before.sessions_valid_from
            assert before.status != "deleted" or after.status == "deleted"

    @given(histories(), st.integers(1, 9))
    def test_the_reverse_of_everything_bars_what_the_history_bars(
        self, history: History, version: int
    ) -> None:
        """A session of any version is permitted exactly when the history leaves it alive."""
        subject = heard_all(Subject(user_id=USER), history.changes()[::-1])[-1]

        alive = version >= history.valid_from and subject.status not in {"disabled", "deleted"}
        assert subject.permits(version) is alive


class TestService:
    """The same through the door, with sessions that live or die by it."""

    @pytest.fixture
    def postgres_server(self, postgres: PostgresServer) -> PostgresServer:
        """Run on one PostgreSQL: the rule is met above, here it is stored."""
        return postgres

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(histories(), st.data())
    async def test_sessions_live_by_versions_and_not_by_arrival(
        self, many_sessions: World, history: History, data: st.DataObject
    ) -> None:
        """One of the first version and one of any later: pushed in any order, some of it twice."""
        world = many_sessions
        name = uuid4().hex
        account = world.identity.register(name)
        states = [s for s in history.states if s.status == "active" and s.version > 1]
        later = data.draw(st.sampled_from([*states, State()]), label="authenticated at")
        sessions = {1: await world.client.login(name)}
        account.version, account.roles = later.version, tuple(later.roles)
        sessions[later.version] = await world.client.login(name)
        events = [world.event(one, number) for number, one in history.events(account.user_id)]
        again = data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else []

        for event in data.draw(st.permutations([*events, *again])):
            assert (await world.push(event)).status_code == 204

        for version, tokens in sessions.items():
            answer = await world.client.refresh(tokens["refresh_token"])
            alive = version >= history.valid_from
            assert (answer.status_code == 200) is alive, (version, history)

    @pytest.fixture
    async def many_sessions(self, make_database: MakeDatabase, clock: FixedClock) -> Any:
        """Give a service that allows any number of sessions."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, max_sessions_per_user=0) as running:
            yield running
