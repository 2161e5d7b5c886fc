"""What the gateway tells others about the requests it refused."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.bus import Binding, BusUnavailable, Delivery, EventBus, Message, Outcome, QueueSpec
from chassis.errors import NotFound, Problem
from chassis.inprocess import InProcessBus
from chassis.jwt import InvalidToken, TokenExpired
from chassis.metrics import Metrics
from chassis.rabbitmq import RabbitMQBus
from chassis.testing import FixedClock, eventually
from contracts.envelope import CloudEvent
from contracts.gateway import RequestDenied
from gateway import errors
from gateway.denials import MAX_KEYS, WINDOW, Denials
from gateway.tests.signing import Subject
from gateway.tests.upstreams import AuditService
from gateway.tests.world import World
from gateway.tests.world import world as start_world

ANN = ip_address("203.0.113.7")
PROXY = {"trusted_proxies": "127.0.0.1/32"}
STRANGER = {"X-Forwarded-For": "198.51.100.2"}
QUEUE = QueueSpec("test.denials", (Binding(RequestDenied.type),))


class Told:
    """Keeps what was published about refusals."""

    def __init__(self) -> None:
        self.events: list[CloudEvent] = []

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Take events as a durable queue does."""
        self.events += [CloudEvent.from_json(delivery.body) for delivery in deliveries]

    @property
    def facts(self) -> set[tuple[str, str, int, str | None]]:
        """Return reason, route, count and address of each."""
        return {
            (event.data["reason"], event.data["route"], event.data["count"], event.ip)
            for event in self.events
        }


class AwayBus(InProcessBus):
    """A bus that cannot be reached, or (*silent*) never answers."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__()
        self._silent = silent

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Fail, or wait for ever."""
        if self._silent:
            await asyncio.Event().wait()
        raise BusUnavailable(f"{len(messages)} messages")


def counting(bus: EventBus) -> tuple[Denials, Metrics]:
    """Return a counter of refusals that publishes on *bus*, and its metrics."""
    metrics = Metrics()
    denials = Denials(FixedClock(), metrics)
    denials.tell(bus)
    return denials, metrics


def dropped(metrics: Metrics, cause: str) -> float | None:
    """Return how many refusals nobody was told about."""
    name = "gatehouse_gateway_denials_dropped_total"
    return metrics.registry.get_sample_value(name, {"cause": cause})


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[InProcessBus, Told]]:
    """Give a bus with a queue for refusals."""
    bus, told = InProcessBus(), Told()
    await bus.subscribe(QUEUE, told.accept)
    bus.open()
    yield bus, told
    await bus.close()


class TestCounting:
    """`Denials` alone."""

    async def test_adds_up_what_is_alike(self) -> None:
        """One event per reason, route and client in a window, then the count begins anew."""
        async with listening() as (bus, told):
            denials, _ = counting(bus)
            for _ in range(3):
                denials.note(errors.RateLimited(), None, ANN)
            denials.note(errors.AddressBlocked(), None, ANN)
            denials.note(errors.RateLimited(), None, ip_address("203.0.113.8"))
            await denials.publish(within=5)
            denials.note(errors.RateLimited(), None, ANN)
            await denials.publish(within=5)

        assert sorted(told.facts) == [
            ("address_blocked", "unmatched", 1, "203.0.113.7"),
            ("rate_limited", "unmatched", 1, "203.0.113.7"),
            ("rate_limited", "unmatched", 1, "203.0.113.8"),
            ("rate_limited", "unmatched", 3, "203.0.113.7"),
        ]
        assert {event.data["window_seconds"] for event in told.events} == {WINDOW.seconds}

    async def test_takes_the_hosts_of_one_ipv6_network_together(self) -> None:
        """Its owner has all of a /64; the last address stands for it."""
        async with listening() as (bus, told):
            denials, _ = counting(bus)
            for host in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
                denials.note(errors.RateLimited(), None, ip_address(host))
            await denials.publish(within=5)

        assert told.facts == {
            ("rate_limited", "unmatched", 2, "2001:db8::2"),
            ("rate_limited", "unmatched", 1, "2001:db8:0:1::1"),
        }

    async def test_names_who_lacked_a_role(self) -> None:
        """And tells two users of one address apart."""
        ann, ben = uuid4(), uuid4()
        async with listening() as (bus, told):
            denials, _ = counting(bus)
            for user in (ann, ben, ann):
                denials.note(errors.RoleMissing(user), None, ANN)
            await denials.publish(within=5)

        counts = {event.actor: event.data["count"] for event in told.events}
        assert counts == {str(ann): 2, str(ben): 1}

    @pytest.mark.parametrize(
        "problem", [NotFound(), TokenExpired("expired"), errors.TokenRequired()]
    )
    async def test_leaves_out_what_happens_every_day(self, problem: Problem) -> None:
        """An expired token is the normal life of a client."""
        async with listening() as (bus, _):
            denials, _ = counting(bus)
            denials.note(problem, None, ANN)
            assert len(denials) == 0

    async def test_holds_no_more_keys_than_it_may(self) -> None:
        """Beyond them a known key still counts, a new one is dropped, and counted as that."""
        async with listening() as (bus, told):
            denials, metrics = counting(bus)
            for number in range(MAX_KEYS + 50):
                denials.note(errors.RateLimited(), None, ip_address(0x0A000000 + number))
            denials.note(errors.RateLimited(), None, ip_address(0x0A000000))
            assert len(denials) == MAX_KEYS
            await denials.publish(within=10)

        assert dropped(metrics, "full") == 50
        assert sum(event.data["count"] for event in told.events) == MAX_KEYS + 1
        assert len(denials) == 0

    @pytest.mark.parametrize("silent", [False, True])
    async def test_forgets_what_a_bus_that_is_away_cannot_take(self, *, silent: bool) -> None:
        """Within its time, without an error, and counted."""
        denials, metrics = counting(AwayBus(silent=silent))
        for _ in range(4):
            denials.note(InvalidToken("form"), None, ANN)
        await denials.publish(within=0.1)

        assert (dropped(metrics, "bus"), len(denials)) == (4, 0)

    async def test_counts_nothing_without_a_bus(self) -> None:
        """Nobody would ever be told."""
        denials = Denials(FixedClock(), Metrics())
        denials.note(errors.RateLimited(), None, ANN)
        assert len(denials) == 0


@pytest.mark.slow
class TestReports:
    """What a service of ours wants told of its own refusals."""

    async def test_are_counted_with_the_others_and_nobody_sees_them(self, tmp_path: Path) -> None:
        """By route and client, with the user where the token names one."""
        ann = Subject(roles=("user",))
        async with listening() as (bus, told), gateway(tmp_path, bus=bus) as world:
            world.token.status = 401
            world.token.headers = [(b"gatehouse-report", b"invalid_refresh_token")]
            answers = [
                await world.ask("POST", "/api/v1/auth/refresh", json={}, headers=STRANGER)
                for _ in range(3)
            ]
            world.token.status = 404
            world.token.headers = [(b"gatehouse-report", b"foreign_session")]
            path, mine = f"/api/v1/sessions/{uuid4()}", world.bearer(ann) | STRANGER
            answers.append(await world.ask("DELETE", path, headers=mine))

        assert [answer.status for answer in answers] == [401, 401, 401, 404]
        assert not any("gatehouse-report" in answer.headers for answer in answers)
        assert told.facts == {
            ("invalid_refresh_token", "/api/v1/auth/refresh", 3, "198.51.100.2"),
            ("foreign_session", "/api/v1/sessions/{id}", 1, "198.51.100.2"),
        }
        actors = {event.data["reason"]: event.actor for event in told.events}
        assert actors == {"invalid_refresh_token": None, "foreign_session": str(ann.sub)}

    async def test_products_have_no_say(self, tmp_path: Path) -> None:
        """Nor can a service of ours name a reason nobody knows."""
        async with listening() as (bus, told), gateway(tmp_path, bus=bus) as world:
            world.shop.headers = [(b"gatehouse-report", b"foreign_session")]
            world.token.headers = [(b"gatehouse-report", b"something_else")]
            answers = [
                await world.ask("GET", "/open/x", headers=STRANGER),
                await world.ask("POST", "/api/v1/auth/refresh", json={}, headers=STRANGER),
            ]

        assert not any("gatehouse-report" in answer.headers for answer in answers)
        assert told.events == []


async def _refusals(world: World) -> None:
    """Be refused once or more for each reason."""
    blocked = {"X-Forwarded-For": "198.51.100.1"}
    stranger = {"X-Forwarded-For": "198.51.100.2"}
    ann = world.bearer(Subject(roles=("user",))) | stranger
    statuses = [
        (await world.ask("POST", "/api/v1/auth/login", json={}, headers=stranger)).status,
        (await world.ask("POST", "/api/v1/auth/login", json={}, headers=stranger)).status,
        (await world.ask("POST", "/api/v1/auth/login", json={}, headers=stranger)).status,
        (await world.ask("GET", "/api/v1/admin/audit", headers=ann)).status,
        (await world.ask("GET", "/api/v1/users/me", headers=stranger | _bearer("x.y.z"))).status,
        (await world.ask("GET", "/", headers=blocked)).status,
    ]
    assert statuses == [200, 429, 429, 403, 401, 403]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


EXPECTED = {
    ("rate_limited", "/api/v1/auth/login", 2, "198.51.100.2"),
    ("forbidden", "/api/v1/admin/audit", 1, "198.51.100.2"),
    ("invalid_token", "/api/v1/users/me", 1, "198.51.100.2"),
    ("address_blocked", "unmatched", 1, "198.51.100.1"),
}


@asynccontextmanager
async def gateway(tmp_path: Path, **options: Any) -> AsyncIterator[World]:
    """Start a gateway that has reason to refuse."""
    audit = AuditService()
    audit.block("198.51.100.1/32")
    settings: dict[str, Any] = {**PROXY, "rate_limit_login": "1/hour", **options}
    async with start_world(tmp_path, audit=audit, **settings) as world:
        yield world


@pytest.mark.slow
class TestTheGateway:
    """What a whole gateway publishes, at the latest when it stops."""

    async def test_tells_in_one_process(self, tmp_path: Path) -> None:
        """Reason, route, count and address; nothing of the token or the query."""
        async with listening() as (bus, told):
            async with gateway(tmp_path, bus=bus) as world:
                await _refusals(world)
                early = list(told.events)  # nothing is published while requests wait
            assert (early, told.facts) == ([], EXPECTED)

    @pytest.mark.real
    async def test_tells_through_rabbitmq(self, tmp_path: Path, rabbitmq_url: str) -> None:
        """To a durable queue of somebody else."""
        told, listener = Told(), RabbitMQBus(rabbitmq_url, name="test", queues=[QUEUE])
        await listener.subscribe(QUEUE, told.accept)
        async with gateway(tmp_path, rabbitmq_url=rabbitmq_url) as world:
            await _refusals(world)
        await eventually(lambda: len(told.events) >= len(EXPECTED))
        await listener.close()

        assert told.facts == EXPECTED
        assert {event.source for event in told.events} == {"gateway"}

    async def test_serves_and_stops_while_the_broker_is_away(self, tmp_path: Path) -> None:
        """Callers meet the same refusals, and what is lost is counted."""
        url = "amqp://nobody:nothing@127.0.0.1:1/nowhere"
        async with gateway(tmp_path, rabbitmq_url=url, wait_ready=False) as world:
            await _refusals(world)

        assert dropped(world.gateway.metrics, "bus") == 5
