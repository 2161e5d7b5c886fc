"""How many requests one address may have open at once."""

import asyncio
from ipaddress import ip_address
from pathlib import Path

import pytest

from chassis.metrics import Metrics
from chassis.testing import eventually
from gateway.errors import TooManyOpenRequests
from gateway.open_requests import OpenRequests
from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

ANN, BEN = ip_address("203.0.113.7"), ip_address("203.0.113.8")
OPEN = "/open/anything"


class TestCounting:
    """`OpenRequests` alone."""

    def test_refuses_one_more_than_it_may(self) -> None:
        """Another address has places of its own, and an ended request gives its place back."""
        places = OpenRequests(2, Metrics())
        with places.holding(ANN):
            with places.holding(ANN):
                with pytest.raises(TooManyOpenRequests), places.holding(ANN):
                    pass
                with places.holding(BEN):
                    pass
            with places.holding(ANN):
                pass

    def test_takes_the_hosts_of_one_ipv6_network_together(self) -> None:
        """Its owner has all of a /64."""
        places = OpenRequests(1, Metrics())
        with (
            places.holding(ip_address("2001:db8::1")),
            pytest.raises(TooManyOpenRequests),
            places.holding(ip_address("2001:db8::2")),
        ):
            pass

    def test_remembers_nobody_who_has_nothing_open(self) -> None:
        """Also when a request fails: the table is as large as what is open."""
        places = OpenRequests(1, Metrics())
        for number in range(100):
            with pytest.raises(ValueError, match="x"), places.holding(ip_address(number)):
                raise ValueError("x")
        assert len(places) == 0


async def held(world: World, *, requests: int) -> list[asyncio.Task[int]]:
    """Open requests that a product does not answer yet."""
    world.shop.hold = asyncio.Event()
    tasks = [asyncio.create_task(_status(world)) for _ in range(requests)]
    await eventually(lambda: len(world.shop.seen) == requests)
    return tasks


async def _status(world: World) -> int:
    return (await world.ask("GET", OPEN)).status


def refused(world: World) -> float | None:
    """Return how many requests were refused for this."""
    name = "gatehouse_gateway_open_requests_refused_total"
    return world.gateway.metrics.registry.get_sample_value(name)


@pytest.mark.slow
class TestTheGateway:
    """A whole gateway; the tests' peer is the loopback, which is not exempt."""

    async def test_refuses_every_route_while_a_product_holds_all_places(
        self, tmp_path: Path
    ) -> None:
        """429 with a code of its own; afterwards all is served again."""
        async with start_world(tmp_path, max_open_requests_per_address=3) as world:
            tasks = await held(world, requests=3)
            headers = world.bearer(Subject())
            paths = (OPEN, "/shop/x", "/api/v1/auth/password-policy", "/verify-email", "/nowhere")
            answers = [await world.ask("GET", path, headers=headers) for path in paths]
            assert world.shop.hold
            world.shop.hold.set()
            served = await asyncio.gather(*tasks)
            after = await world.ask("GET", OPEN)
            counted = refused(world)

        found = {(answer.status, answer.document["code"]) for answer in answers}
        assert found == {(429, "too_many_open_requests")}
        assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
        assert (served, after.status, counted) == ([200, 200, 200], 200, 5)

    async def test_counts_clients_behind_a_trusted_proxy_for_themselves(
        self, tmp_path: Path
    ) -> None:
        """One of them is refused, the other served."""
        async with start_world(
            tmp_path, max_open_requests_per_address=2, trusted_proxies="127.0.0.1/32"
        ) as world:
            tasks = await held(world, requests=2)
            stranger = {"X-Forwarded-For": "198.51.100.9"}
            mine = await world.ask("GET", "/verify-email")
            theirs = await world.ask("GET", "/verify-email", headers=stranger)
            assert world.shop.hold
            world.shop.hold.set()
            await asyncio.gather(*tasks)

        assert (mine.status, theirs.status) == (429, 200)

    async def test_gives_back_the_place_of_a_client_that_leaves(self, tmp_path: Path) -> None:
        """Nobody is locked out by connections that are gone."""
        async with start_world(tmp_path, max_open_requests_per_address=1) as world:
            tasks = await held(world, requests=1)
            before = await _status(world)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            world.shop.hold = None

            async def served() -> bool:
                return await _status(world) == 200

            await eventually(served)
        assert before == 429

    async def test_counts_a_body_that_never_ends(self, tmp_path: Path) -> None:
        """A request is open from its headers on."""
        async with start_world(tmp_path, max_open_requests_per_address=1) as world:
            reader, writer = await asyncio.open_connection(world.host, world.port)
            writer.write(
                b"POST /open/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx"
            )
            await writer.drain()

            async def full() -> bool:
                return await _status(world) == 429

            await eventually(full)
            writer.close()

            async def served() -> bool:
                return await _status(world) == 200

            await eventually(served)
            del reader
