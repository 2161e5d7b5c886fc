"""The detector as a part of the service: replicas, crashes, erasure, bounds."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from chassis.testing import FixedClock
from services.audit.models import ALERTS, DETECTION_EVIDENCE, INBOX, SUSPECT_SOURCES
from services.audit.repository import evidence
from services.audit.service.housekeeping import Housekeeping
from services.audit.tests.attacks import guessing, spraying, stuffing
from services.audit.tests.samples import event
from services.audit.tests.watch import Door, Watch

ADDRESS = "203.0.113.7"
DAY = timedelta(days=1)


async def count(watch: Watch, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    """Return how many rows *table* has."""
    (row,) = await watch.world.rows(
        sa.select(sa.func.count()).select_from(table).where(*conditions)
    )
    return int(row[0])


def keeping(watch: Watch, clock: FixedClock | None = None, **bounds: int) -> Housekeeping:
    """Return the housekeeping with these bounds."""
    return Housekeeping(
        database=watch.world.database,
        clock=clock or watch.clock,
        evidence_life=timedelta(hours=6),
        alert_life=timedelta(days=365),
        **bounds,
    )


class TestReplicas:
    """Several detectors over one database."""

    async def test_raise_one_alert_together(self, watch: Watch, door: Door) -> None:
        """Whoever judges a batch, each fact is judged once."""
        detectors = [watch.another_detector() for _ in range(4)]

        async def work() -> None:
            for detector in detectors * 5:
                await detector.judge_batch()

        attack = spraying(door, accounts=60)
        for start in range(0, 60, 5):
            await watch.world.deliver(*attack[start : start + 5])
            await asyncio.gather(work(), work(), work())
        await watch.judge()

        (alert,) = await watch.alerts()
        assert (alert.attempts, len(await watch.told())) == (60, 1)
        assert await watch.blocked() == [f"{ADDRESS}/32"]

    async def test_two_that_saw_the_same_cannot_both_tell_it(
        self, watch: Watch, door: Door
    ) -> None:
        """The table refuses the same incident under the same number."""
        await watch.see(spraying(door))
        (row,) = await watch.world.rows(sa.select(ALERTS))
        again = dict(row._mapping) | {"id": uuid4()}

        with pytest.raises(sa.exc.IntegrityError):
            await watch.world.rows(sa.insert(ALERTS).values(again).returning(ALERTS.c.id))


class TestACrash:
    """Everything a batch leads to is one transaction with its marks."""

    async def test_in_the_middle_leaves_nothing_and_loses_nothing(
        self, watch: Watch, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next attempt raises the alert, once."""
        await watch.world.deliver(*spraying(door))

        async def crash(*_: Any) -> None:
            raise LookupError("a crash")

        with monkeypatch.context() as broken:
            broken.setattr(evidence, "mark_judged", crash)
            with pytest.raises(LookupError, match="a crash"):
                await watch.judge()
        assert (await watch.alerts(), await watch.told(), await watch.blocked()) == ([], [], [])

        await watch.judge()
        await watch.judge()
        assert len(await watch.alerts()) == len(await watch.told()) == 1

    async def test_of_recording_keeps_no_evidence_of_its_own(
        self, watch: Watch, door: Door
    ) -> None:
        """What is no row of the log is no evidence, and the other way round."""
        attack = spraying(door)
        await watch.world.deliver(*attack, *attack)
        await watch.world.deliver(*attack)

        assert await count(watch, DETECTION_EVIDENCE) == len(await watch.world.log()) == 30

    async def test_poison_beside_an_attack_costs_nothing(self, watch: Watch, door: Door) -> None:
        """Data of wrong types is recorded and not counted."""
        strange = [
            event("identity.login.failed.v1", data={"user_id": None, "name_hash": 7}),
            event("identity.login.failed.v1", data={"user_id": "x", "name_hash": "\0"}),
            event("identity.login.failed.v1", data={"reason": ["invalid_credentials"]}),
            event("identity.login.succeeded.v1", data={"user_id": [1]}, subject=None, ip="x"),
            event("token.refresh_token.reused.v1", data={"user_id": None}),
        ]
        await watch.see([*strange, *spraying(door)])

        assert await watch.rules() == ["password_spraying"]
        assert await count(watch, INBOX.inbox, INBOX.inbox.c.state == "dead") == 0


class TestFeedback:
    """What the detector itself causes."""

    async def test_is_never_evidence(self, watch: Watch, door: Door) -> None:
        """Its events are recorded like all others, and lead to nothing."""
        await watch.see(spraying(door))
        told = [
            event("audit.suspicious_activity.detected.v1", data={"rule": "password_spraying"}),
            event("audit.ip.blocked.v1", data={"cause": "detection"}),
            event("notify.message.sent.v1"),
        ]
        before = await count(watch, DETECTION_EVIDENCE)
        await watch.see(told * 1)

        assert await count(watch, DETECTION_EVIDENCE) == before
        assert len(await watch.alerts()) == 1

    async def test_its_event_is_classified(self, watch: Watch) -> None:
        """The leaf says rule and counts; who and where from stand beside it."""
        person = uuid4()
        await watch.see(
            [
                event(
                    "audit.suspicious_activity.detected.v1",
                    data={"user_id": str(person), "address": ADDRESS, "attempts": 31},
                    subject=str(person),
                )
            ]
        )

        (row,) = await watch.world.log()
        assert b'"attempts":31' in row.leaf_bytes
        assert str(person).encode() not in row.leaf_bytes
        assert ADDRESS.encode() not in row.leaf_bytes


class TestErasure:
    """A person who is deleted (D17)."""

    async def test_leaves_no_trace_in_alerts_and_evidence(self, watch: Watch, door: Door) -> None:
        """The alert stays, of nobody and from nowhere."""
        person = uuid4()
        await watch.see([*guessing(door, person), door.reused(person, ADDRESS)])
        await watch.see([event("identity.user.deleted.v1", data={"user_id": str(person)})])

        everything = await self._everything(watch)
        assert str(person) not in everything
        assert "198.51.100" not in everything
        assert ADDRESS not in everything
        found = await watch.alerts()
        assert {alert.rule.value for alert in found} == {"account_guessing", "refresh_token_reuse"}
        assert {alert.attempts for alert in found} == {100, 1}

    async def test_before_the_detector_came_by_raises_nothing(
        self, watch: Watch, door: Door
    ) -> None:
        """Evidence that waits is erased too, and what comes late is not kept."""
        person = uuid4()
        await watch.world.deliver(*guessing(door, person))
        await watch.world.deliver(event("identity.user.deleted.v1", data={"user_id": str(person)}))
        await watch.see(guessing(door, person))

        assert await watch.alerts() == []
        assert str(person) not in await self._everything(watch)

    async def _everything(self, watch: Watch) -> str:
        rows = [
            row
            for table in (ALERTS, DETECTION_EVIDENCE, SUSPECT_SOURCES)
            for row in await watch.world.rows(sa.select(table))
        ]
        return repr(rows)


class TestBounds:
    """No attacker makes a table grow without end."""

    async def test_judged_evidence_goes_after_its_time(self, watch: Watch, door: Door) -> None:
        """By the database's clock; what waits to be judged stays."""
        await watch.see(spraying(door))
        await watch.world.deliver(*spraying(door, "203.0.113.8"))
        await keeping(watch).clean()
        assert await count(watch, DETECTION_EVIDENCE) == 60

        aged = sa.func.now() - timedelta(hours=13)
        statement = sa.update(DETECTION_EVIDENCE).values(received_at=aged)
        await watch.world.rows(statement.returning(DETECTION_EVIDENCE.c.id))
        assert await keeping(watch).clean() == 30
        assert await count(watch, DETECTION_EVIDENCE) == 30

    async def test_a_flood_pushes_out_the_oldest(self, watch: Watch, door: Door) -> None:
        """Millions of names are as many rows as the bound allows."""
        await watch.see(stuffing(door, sources=100))
        await keeping(watch, evidence_most=50, suspects_most=20).clean()

        assert await count(watch, DETECTION_EVIDENCE) == 50
        assert await count(watch, SUSPECT_SOURCES) == 20

    async def test_alerts_have_their_time_and_their_number(self, watch: Watch, door: Door) -> None:
        """The newest stay."""
        for number in range(4):
            await watch.see(spraying(door, f"203.0.113.{number}"))
            watch.clock.advance(timedelta(seconds=1))
        clock = FixedClock(watch.clock.now() + 364 * DAY)
        await keeping(watch, clock).clean()
        assert len(await watch.alerts()) == 4

        await keeping(watch, clock, alerts_most=3).clean()
        assert [str(alert.address) for alert in await watch.alerts()] == [
            f"203.0.113.{number}/32" for number in (1, 2, 3)
        ]
        clock.advance(2 * DAY)
        await keeping(watch, clock).clean()
        assert await watch.alerts() == []

    async def test_an_alert_names_few_addresses(self, watch: Watch, door: Door) -> None:
        """And says how many there were."""
        await watch.see(guessing(door, uuid4(), addresses=200))
        watch.clock.advance(timedelta(seconds=1))
        await watch.see(guessing(door, uuid4(), addresses=30))

        first, second = await watch.alerts()
        assert (len(first.addresses), first.address_count) == (20, 180)
        assert (len(second.addresses), second.address_count) == (20, 30)


class TestMeasures:
    """What operators see."""

    async def test_alerts_are_counted_by_rule_and_waiting_is_measured(
        self, watch: Watch, door: Door
    ) -> None:
        """Zero when nothing waits."""
        await watch.world.deliver(*spraying(door))
        await watch.detector.measure()
        assert watch.world.sample("gatehouse_audit_detector_lag_seconds") > 0

        await watch.judge()
        await watch.detector.measure()
        assert watch.world.sample("gatehouse_audit_detector_lag_seconds") == 0
        assert watch.world.sample("gatehouse_audit_alerts_total", rule="password_spraying") == 1
        assert watch.world.sample("gatehouse_audit_alerts_total", rule="account_guessing") == 0
