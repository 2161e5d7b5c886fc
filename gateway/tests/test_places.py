"""Places for connections: who gets one, who gives way, what is told."""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from chassis.metrics import Metrics
from chassis.networks import parse_networks
from gateway.address import ClientAddresses
from gateway.connections.descriptors import DEFAULT, RESERVED, most_connections
from gateway.connections.metrics import ConnectionMetrics
from gateway.connections.places import Places

ANN, BEN = "203.0.113.7", "203.0.113.8"
PROXY = "10.0.0.1"


@dataclass(eq=False)
class Connection:
    """A connection that is idle or not."""

    is_idle: bool = False
    has_given_way: bool = False

    def give_way(self) -> None:
        """Take note."""
        self.has_given_way = True


@dataclass
class Door:
    """Places, and what they tell."""

    places: Places
    metrics: Metrics

    def enter(self, peer: str | None, *, idle: bool = False) -> Connection | None:
        """Come with a connection; return it when it got a place."""
        connection = Connection(idle)
        return connection if self.places.take(connection, peer) else None

    def crowd(self, peer: str | None, count: int) -> list[Connection]:
        """Come with so many busy ones, all of which get a place."""
        taken = list(filter(None, (self.enter(peer) for _ in range(count))))
        assert len(taken) == count
        return taken

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric of the door."""
        return self.metrics.registry.get_sample_value(
            f"gatehouse_gateway_connections_{name}", {"door": "http", **labels}
        )


@pytest.fixture
def door() -> Door:
    """Give one with ten places, four for each address, which trusts the proxy."""
    metrics = Metrics()
    peers = ClientAddresses(parse_networks(f"{PROXY}/32"))
    told = ConnectionMetrics(metrics)
    return Door(Places("http", most=10, per_address=4, peers=peers, metrics=told), metrics)


class TestPeers:
    """How many connections one may have."""

    def test_are_refused_beyond_their_number(self, door: Door) -> None:
        """Others are not, and a place that is given back is theirs again."""
        first, *_ = door.crowd(ANN, 4)
        assert door.enter(ANN) is None
        assert door.enter(BEN)
        door.places.give_back(first)
        assert door.enter(ANN)
        assert door.value("refused_total", reason="address") == 1

    def test_of_one_ipv6_network_are_one(self, door: Door) -> None:
        """Its owner has all of a /64."""
        for number in range(4):
            assert door.enter(f"2001:db8::{number}")
        assert door.enter("2001:db8::ffff") is None
        assert door.enter("2001:db8:0:1::1")

    def test_that_are_ipv4_in_ipv6_clothes_are_ipv4(self, door: Door) -> None:
        """As a socket of both families names them."""
        door.crowd(f"::ffff:{ANN}", 4)
        assert door.enter(ANN) is None

    def test_that_are_trusted_proxies_speak_for_many(self, door: Door) -> None:
        """Only the total counts for them, and for a peer nobody knows."""
        door.crowd(PROXY, 6)
        door.crowd(None, 4)
        assert door.enter(PROXY) is None
        assert door.value("refused_total", reason="total") == 1

    def test_do_not_push_their_own_idle_connections_out(self, door: Door) -> None:
        """Whoever has too many is refused, not served in turns."""
        mine = [door.enter(ANN, idle=True) for _ in range(4)]
        assert door.enter(ANN) is None
        assert not any(connection and connection.has_given_way for connection in mine)


class TestTotal:
    """What happens when all places are taken."""

    def test_the_oldest_idle_connection_gives_way(self, door: Door) -> None:
        """One that is at work stays, however old it is."""
        busy = door.crowd(PROXY, 4)
        idle = [door.enter(PROXY, idle=True) for _ in range(6)]
        assert door.enter(ANN)
        assert [bool(found and found.has_given_way) for found in idle] == [True] + [False] * 5
        assert not any(connection.has_given_way for connection in busy)
        assert (len(door.places), door.value("gave_way_total")) == (10, 1)

    def test_is_given_back_once_by_one_that_gave_way(self, door: Door) -> None:
        """Its end comes later, and counts for nobody else."""
        idle = door.enter(ANN, idle=True)
        door.crowd(PROXY, 9)
        assert door.enter(BEN)
        assert idle is not None
        door.places.give_back(idle)
        assert len(door.places) == 10

    def test_refuses_when_nobody_is_idle(self, door: Door) -> None:
        """And takes the next one when one has left."""
        first, *_ = door.crowd(PROXY, 10)
        assert door.enter(ANN) is None
        door.places.give_back(first)
        assert door.enter(ANN)

    def test_returns_to_nothing(self, door: Door) -> None:
        """Nobody is remembered who has no connection."""
        for connection in (*door.crowd(ANN, 4), *door.crowd(BEN, 4)):
            door.places.give_back(connection)
        assert (len(door.places), door.value("open")) == (0, 0)
        door.crowd(ANN, 4)


class TestLog:
    """One line for each change, however many knock."""

    def test_tells_of_peers_over_their_number_once(self, door: Door) -> None:
        """And when the last of them has come down to half."""
        with capture_logs() as logs:
            anns, bens = door.crowd(ANN, 4), door.crowd(BEN, 4)
            for _ in range(5):
                assert door.enter(ANN) is None
                assert door.enter(BEN) is None
            for connection in (*anns, *bens):
                door.places.give_back(connection)
        assert [line["event"] for line in logs] == [
            "connections.peer_refused",
            "connections.peers_within_limit_again",
        ]

    def test_tells_of_a_full_door_once(self, door: Door) -> None:
        """Also when one leaves and another comes, again and again."""
        with capture_logs() as logs:
            held = door.crowd(PROXY, 10)
            for _ in range(3):
                assert door.enter(ANN) is None
            door.places.give_back(held.pop())
            door.places.give_back(held.pop())
        assert [line["event"] for line in logs] == ["connections.full", "connections.free_again"]
        assert [(line["door"], line.get("most")) for line in logs] == [("http", 10), ("http", None)]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], Any]:
    """Give a function that sets the limits of open files, for this test's eyes."""
    limits = [0, 0]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))

    def claim(_: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > limits[1] != resource.RLIM_INFINITY:
            raise ValueError("above the hard limit")
        limits[:] = wanted

    monkeypatch.setattr(resource, "setrlimit", claim)

    def give(soft: int, hard: int) -> list[int]:
        limits[:] = soft, hard
        return limits

    return give


class TestDescriptors:
    """How many places there are."""

    @pytest.mark.parametrize(
        ("soft", "hard", "most"),
        [
            (1024, 1024, (1024 - RESERVED) // 2),
            (1024, 4096, (4096 - RESERVED) // 2),
            (1024, 1_000_000, DEFAULT),
            (1024, resource.RLIM_INFINITY, DEFAULT),
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY, DEFAULT),
            (100, 100, 16),
        ],
    )
    def test_are_shared_with_the_upstreams(
        self, files: Callable[[int, int], Any], soft: int, hard: int, most: int
    ) -> None:
        """Each request may need a connection of its own there."""
        files(soft, hard)
        assert most_connections(None) == most

    def test_are_claimed_only_as_far_as_they_are_needed(
        self, files: Callable[[int, int], Any]
    ) -> None:
        """The rest of the hard limit is nobody's."""
        limits = files(1024, 1_000_000)
        assert most_connections(20_000) == 20_000
        assert limits == [40_000 + RESERVED, 1_000_000]

    def test_that_are_not_there_keep_a_gateway_from_starting(
        self, files: Callable[[int, int], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It would fail when it is full."""
        files(1024, 1024)
        with pytest.raises(SystemExit) as exit_:
            most_connections(1000)
        assert exit_.value.code == 78
        assert "MAX_CONNECTIONS: only 1024 files may be open" in capsys.readouterr().err
