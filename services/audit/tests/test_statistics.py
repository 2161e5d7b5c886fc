"""Statistics: counted with the recording, read from few rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.testing import FixedClock
from contracts.envelope import CloudEvent
from services.audit.domain.statistics import COUNTED, floor, span
from services.audit.models import ACTIVITY_COUNTS
from services.audit.schemas.statistics import StatsView
from services.audit.service.housekeeping import Housekeeping
from services.audit.service.statistics import Counting
from services.audit.tests.running import Service
from services.audit.tests.samples import event
from services.audit.tests.world import World, caller

STATS = "/api/v1/admin/stats"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def happened(type_: str, after: timedelta, *, times: int = 1) -> list[CloudEvent]:
    """Return events of one type, so long after noon."""
    return [event(type_, time=NOON + after) for _ in range(times)]


async def read(world: World, since: datetime, until: datetime, interval: Any = "hour") -> StatsView:
    """Return the statistics an administrator sees."""
    counting = Counting(world.database, FixedClock(NOON))
    return StatsView.of(await counting.read(caller("admin"), span(since, until, interval)))


class TestCounting:
    """What is recorded is counted in its hour."""

    async def test_by_type_and_hour_of_the_event(self, world: World) -> None:
        """Empty hours are there too."""
        await world.deliver(
            *happened("identity.login.succeeded.v1", timedelta(0), times=3),
            *happened("identity.login.failed.v1", timedelta(minutes=59), times=2),
            *happened("identity.login.succeeded.v1", 2 * HOUR),
            *happened("identity.user.registered.v1", 2 * HOUR),
            *happened("identity.user.updated.v1", 2 * HOUR),
        )
        shown = await read(world, NOON, NOON + 3 * HOUR)

        assert [bucket.starts_at for bucket in shown.buckets] == [NOON + n * HOUR for n in range(3)]
        assert [bucket.logins for bucket in shown.buckets] == [3, 0, 1]
        assert [bucket.login_failures for bucket in shown.buckets] == [2, 0, 0]
        assert (shown.totals.logins, shown.totals.registrations, shown.totals.locks) == (4, 1, 0)

    async def test_every_counted_type_has_its_place(self, world: World) -> None:
        """Each by its own name."""
        await world.deliver(*(one for type_ in COUNTED for one in happened(type_, timedelta(0))))
        shown = await read(world, NOON, NOON + HOUR)

        assert set(shown.totals.model_dump().values()) == {1}

    async def test_by_day(self, world: World) -> None:
        """From midnight to midnight, UTC."""
        await world.deliver(
            *happened("identity.user.locked.v1", timedelta(0)),
            *happened("identity.user.locked.v1", timedelta(hours=11, minutes=59)),
            *happened("identity.user.locked.v1", 12 * HOUR),
        )
        shown = await read(world, NOON, NOON + DAY, "day")

        assert [bucket.locks for bucket in shown.buckets] == [2, 1]
        assert shown.starts_at == datetime(2026, 1, 1, tzinfo=UTC)

    async def test_a_duplicate_counts_once(self, world: World) -> None:
        """In one batch and in two."""
        (login,) = happened("identity.login.succeeded.v1", timedelta(0))
        await world.deliver(login, login)
        await world.deliver(login)

        assert (await read(world, NOON, NOON + HOUR)).totals.logins == 1

    async def test_running_sessions_are_those_begun_and_not_ended(self, world: World) -> None:
        """Over all time, also after old hours became one sum."""
        await world.deliver(
            *happened("token.session.started.v1", timedelta(0), times=5),
            *happened("token.session.ended.v1", HOUR, times=2),
        )
        before = await read(world, NOON, NOON + HOUR)
        later = FixedClock(NOON + 401 * DAY)
        keeping = Housekeeping(
            database=world.database, clock=later, evidence_life=HOUR, alert_life=DAY
        )
        folded = (await keeping.clean(), await keeping.clean())
        await world.deliver(*happened("token.session.ended.v1", 2 * HOUR))
        await keeping.clean()
        after = await read(world, NOON, NOON + HOUR)

        assert (before.current.active_sessions, folded) == (3, (2, 0))
        assert (after.current.active_sessions, after.totals.sessions_started) == (2, 0)
        rows = await world.rows(sa.select(ACTIVITY_COUNTS.c.hour).distinct())
        assert [row.hour for row in rows] == [datetime(1970, 1, 1, tzinfo=UTC)]

    async def test_batches_at_once_lose_nothing(self, world: World) -> None:
        """They meet in the same hour."""
        for _ in range(5):
            await world.deliver(*happened("identity.login.succeeded.v1", HOUR, times=20))

        assert (await read(world, NOON, NOON + 2 * HOUR)).totals.logins == 100


class TestSpans:
    """Whole buckets."""

    @pytest.mark.parametrize(
        ("since", "until", "interval", "count"),
        [
            (NOON, NOON + HOUR, "hour", 1),
            (NOON, NOON + timedelta(hours=1, microseconds=1), "hour", 2),
            (NOON + timedelta(minutes=59), NOON + timedelta(minutes=61), "hour", 2),
            (NOON, NOON + HOUR, "day", 1),
            (NOON, NOON + DAY, "day", 2),
        ],
    )
    def test_hold_every_moment_asked_for(
        self, since: datetime, until: datetime, interval: Any, count: int
    ) -> None:
        """The first and the last bucket may reach beyond."""
        found = span(since, until, interval)

        assert len(found.moments) == count
        assert found.starts_at <= since
        assert found.ends_at >= until
        assert found.starts_at == floor(found.starts_at, interval)


class TestAsking:
    """GET over HTTP."""

    async def test_shows_the_last_day_by_the_hour(self, service: Service) -> None:
        """When nothing else is asked for."""
        answer = await service.get(STATS)

        assert answer.status_code == 200
        shown = answer.json()
        assert shown["interval"] == "hour"
        assert len(shown["buckets"]) in {24, 25}
        assert shown["current"]["active_sessions"] == 0
        assert set(shown["totals"]) == set(COUNTED.values())

    @pytest.mark.parametrize(
        ("params", "pointer"),
        [
            ({"interval": "minute"}, "/interval"),
            ({"interval": ""}, "/interval"),
            ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "/to"),
            ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "/to"),
            ({"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "/from"),
            (
                {
                    "interval": "day",
                    "from": "2020-01-01T00:00:00Z",
                    "to": "2026-03-01T00:00:00Z",
                },
                "/from",
            ),
            ({"to": "0001-01-01T00:00:00Z"}, "/to"),
            ({"to": "9999-12-31T23:59:59.999999Z"}, "/to"),
            ({"from": "1700000000"}, "/from"),
            ({"from": "2026-01-01T00:00:00"}, "/from"),
            ({"since": "2026-01-01T00:00:00Z"}, "/since"),
        ],
    )
    async def test_refuses_a_query_it_does_not_know(
        self, service: Service, params: dict[str, Any], pointer: str
    ) -> None:
        """400 with a pointer."""
        answer = await service.get(STATS, **params)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert answer.json()["errors"][0]["pointer"] == pointer
