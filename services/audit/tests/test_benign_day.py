"""A day of ordinary people, event by event: it must raise nothing."""

import hashlib
import itertools
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

from contracts.envelope import CloudEvent
from services.audit.tests.samples import event
from services.audit.tests.watch import Door, Watch
from services.audit.tests.world import World

PEOPLE = 400
OFFICE = 150
OFFICE_NAT = "203.0.113.50"
CARRIER_NAT = "203.0.113.60"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
AGENTS = ("Firefox/150", "Chrome/150", "Safari/27", "a password manager")


class Day:
    """Writes down what people do; its chance is the same on every day."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._throws = itertools.count()

    def events(self) -> list[CloudEvent]:
        """Return everything that happens, in order."""
        people = [uuid4() for _ in range(PEOPLE)]
        happened = [
            *self._at_home(people[OFFICE:]),
            *self._in_the_office(people[:OFFICE]),
            *self._on_the_train(people[OFFICE : OFFICE + 120]),
            *self._forgetful(people[-30:]),
            *self._attempts_at_other_services(),
        ]
        return sorted(happened, key=lambda one: one.time)

    def _at_home(self, people: list[UUID]) -> Iterator[CloudEvent]:
        """Two visits a day, a typing error now and then, and a refresh in two tabs."""
        for number, person in enumerate(people):
            address = f"198.18.{number // 200}.{number % 200 + 1}"
            for visit in (7 * HOUR, 19 * HOUR):
                moment = visit + self._within(3 * HOUR)
                yield from self._visit(person, address, moment)
                yield self._refresh(person, address, moment + 10 * MINUTE)
                yield self._refresh(person, address, moment + 10 * MINUTE + SECOND)

    def _in_the_office(self, people: list[UUID]) -> Iterator[CloudEvent]:
        """All of them begin within an hour, behind one address."""
        for person in people:
            yield from self._visit(person, OFFICE_NAT, 8 * HOUR + self._within(HOUR))
            yield from self._visit(person, OFFICE_NAT, 13 * HOUR + self._within(HOUR))

    def _on_the_train(self, people: list[UUID]) -> Iterator[CloudEvent]:
        """Come with new telephones behind a carrier's address; some give up."""
        for number, person in enumerate(people):
            moment = 17 * HOUR + self._within(HOUR)
            if number % 20 == 0:
                yield self._wrong(person, CARRIER_NAT, moment)
            else:
                yield from self._visit(person, CARRIER_NAT, moment, new_device=True)

    def _forgetful(self, people: list[UUID]) -> Iterator[CloudEvent]:
        """Try whatever comes to mind, are locked out, take the mailed link, and are in."""
        for number, person in enumerate(people):
            address, moment = f"198.19.0.{number + 1}", 10 * HOUR + self._within(8 * HOUR)
            for n in range(5):
                yield self._wrong(person, address, moment + n * 10 * SECOND)
            for n in range(8):
                pressed = moment + MINUTE + n * SECOND
                yield self._door.failed(person, address, reason="account_locked", after=pressed)
            yield self._door.renewed(person, address, after=moment + 5 * MINUTE)
            yield from self._door.entered(
                person, address, new_device=True, after=moment + 6 * MINUTE
            )

    def _attempts_at_other_services(self) -> Iterator[CloudEvent]:
        """Old names in password managers: nobody here is called so, tried twice and again."""
        for number in range(60):
            address = f"198.19.7.{number + 1}"
            for n in range(4):
                yield self._door.failed(
                    f"old-{number}", address, agent=AGENTS[3], after=n * 5 * HOUR
                )

    def _visit(
        self, person: UUID, address: str, moment: timedelta, *, new_device: bool = False
    ) -> Iterator[CloudEvent]:
        """Log in; one in eight mistypes before, up to three times."""
        if self._chance() < 1 / 8:
            for n in range(1 + int(3 * self._chance())):
                yield self._wrong(person, address, moment - (3 - n) * 10 * SECOND)
        agent = AGENTS[int(len(AGENTS) * self._chance())]
        yield from self._door.entered(
            person, address, agent=agent, new_device=new_device, after=moment
        )

    def _wrong(self, person: UUID, address: str, moment: timedelta) -> CloudEvent:
        agent = AGENTS[int(len(AGENTS) * self._chance())]
        return self._door.failed(person, address, agent=agent, after=moment)

    def _refresh(self, person: UUID, address: str, moment: timedelta) -> CloudEvent:
        data = {"user_id": str(person)}
        time = self._door.at(moment)
        return event("token.token.refreshed.v1", data=data, ip=address, time=time)

    def _within(self, length: timedelta) -> timedelta:
        return length * self._chance()

    def _chance(self) -> float:
        digest = hashlib.sha256(str(next(self._throws)).encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


class TestABenignDay:
    """Hundreds of people, an office behind one address, a train, typing errors, lost passwords."""

    async def test_raises_nothing(self, world: World) -> None:
        """No alert, no event, no block."""
        watch = Watch(world)
        day = Day(Door(watch.clock)).events()
        assert len(day) > 2000
        await watch.see(day)

        assert await watch.alerts() == []
        assert await watch.told() == []
        assert await watch.blocked() == []

    async def test_does_not_hide_an_attack(self, world: World) -> None:
        """The same day with one spraying address in it has one alert."""
        watch = Watch(world)
        door = Door(watch.clock)
        attack = [
            door.failed(uuid4(), "203.0.113.99", after=8 * HOUR + n * MINUTE) for n in range(20)
        ]
        everything = sorted([*Day(door).events(), *attack], key=lambda one: one.time)
        await watch.see(everything)

        (alert,) = await watch.alerts()
        assert (alert.rule, str(alert.address)) == ("password_spraying", "203.0.113.99/32")
        assert await watch.blocked() == ["203.0.113.99/32"]
