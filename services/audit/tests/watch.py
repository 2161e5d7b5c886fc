"""Audit's consumer and detector over one database and a clock that a test moves."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.ids import uuid7
from chassis.networks import Network
from chassis.outbox import Outbox
from chassis.testing import FixedClock
from contracts.audit import IpBlocked, SuspiciousActivityDetected
from contracts.envelope import CloudEvent
from services.audit.domain.detection.alerts import Alert, AlertFilters
from services.audit.domain.detection.rules import Thresholds
from services.audit.models import OUTBOX
from services.audit.repository import alerts
from services.audit.service.alarms import Alarms
from services.audit.service.detection import Detector
from services.audit.service.ip_blocks import IpBlocks
from services.audit.tests.samples import event
from services.audit.tests.world import World

_BATCH = 200


class Watch:
    """What recording and the detector make of a stream of events."""

    def __init__(
        self,
        world: World,
        *,
        thresholds: Thresholds | None = None,
        protected: Sequence[Network] = (),
        start: datetime | None = None,
    ) -> None:
        self.world = world
        self.clock = FixedClock(start)
        self.thresholds = thresholds or Thresholds()
        outbox = Outbox("audit", OUTBOX, self.clock)
        self.blocks = IpBlocks(
            database=world.database, outbox=outbox, clock=self.clock, protected=protected
        )
        self.alarms = Alarms(
            outbox=outbox,
            clock=self.clock,
            blocks=self.blocks,
            thresholds=self.thresholds,
            metrics=world.numbers,
        )
        self.detector = self.another_detector()

    def another_detector(self) -> Detector:
        """Return the detector of one more replica."""
        return Detector(
            self.world.database, self.alarms, self.world.numbers, thresholds=self.thresholds
        )

    async def see(self, events: Sequence[CloudEvent]) -> None:
        """Record *events* in batches and judge after each."""
        for start in range(0, len(events), _BATCH):
            await self.world.deliver(*events[start : start + _BATCH])
            await self.judge()

    async def judge(self) -> None:
        """Judge everything that waits."""
        while await self.detector.judge_batch():
            pass

    async def alerts(self) -> list[Alert]:
        """Return every alert, the oldest first."""
        async with self.world.database.transaction() as tx:
            found = await alerts.list_alerts(tx, AlertFilters(), after=None, limit=1000)
        return list(reversed(found))

    async def rules(self) -> list[str]:
        """Return the rules of every alert, the oldest first."""
        return [alert.rule.value for alert in await self.alerts()]

    async def told(self) -> list[dict[str, Any]]:
        """Return the data of every event that told an alert."""
        return await self._emitted(SuspiciousActivityDetected.type)

    async def blocked(self) -> list[str]:
        """Return every network that was blocked, in order."""
        return [data["cidr"] for data in await self._emitted(IpBlocked.type)]

    async def _emitted(self, type_: str) -> list[dict[str, Any]]:
        c = OUTBOX.outbox.c
        rows = await self.world.rows(sa.select(c.body).where(c.routing_key == type_).order_by(c.id))
        return [row.body["data"] for row in rows]


class Door:
    """Makes the events of people and attackers, at the time of a clock."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock

    def at(self, after: timedelta) -> datetime:
        """Return the time so long after the clock's."""
        return self._clock.now() + after

    def failed(
        self,
        who: UUID | str,
        address: str | None,
        *,
        agent: str = "Firefox",
        reason: str = "invalid_credentials",
        after: timedelta = timedelta(0),
    ) -> CloudEvent:
        """Return a refused login as a user, or by a name nobody has."""
        named: dict[str, Any] = {"user_id": str(who), "name_hash": None}
        if isinstance(who, str):
            named = {"user_id": None, "name_hash": hashlib.sha256(who.encode()).hexdigest()}
        return self._event(
            "identity.login.failed.v1", {**named, "reason": reason}, address, agent, after
        )

    def entered(
        self,
        who: UUID,
        address: str,
        *,
        agent: str = "Firefox",
        new_device: bool = False,
        after: timedelta = timedelta(0),
    ) -> list[CloudEvent]:
        """Return a login that succeeded, from a new device where that is said."""
        types = ["identity.login.succeeded.v1"]
        types += ["identity.device.added.v1"] if new_device else []
        return [
            self._event(type_, {"user_id": str(who)}, address, agent, after + n * _TICK)
            for n, type_ in enumerate(types)
        ]

    def renewed(self, who: UUID, address: str, *, after: timedelta = timedelta(0)) -> CloudEvent:
        """Return a password set anew by a mailed link."""
        data = {"user_id": str(who)}
        return self._event("identity.password.reset.v1", data, address, "Firefox", after)

    def reused(self, who: UUID, address: str, *, after: timedelta = timedelta(0)) -> CloudEvent:
        """Return a spent refresh token that came back."""
        data = {"user_id": str(who)}
        return self._event("token.refresh_token.reused.v1", data, address, "Firefox", after)

    def _event(
        self,
        type_: str,
        data: dict[str, Any],
        address: str | None,
        agent: str,
        after: timedelta,
    ) -> CloudEvent:
        return event(
            type_,
            id=uuid7(self._clock),
            time=self._clock.now() + after,
            data=data,
            ip=address,
            useragent=agent,
        )


_TICK = timedelta(microseconds=1)
