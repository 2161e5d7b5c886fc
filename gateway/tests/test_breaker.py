"""When an address is left alone, and when it is tried again."""

from dataclasses import dataclass, field

import pytest

from gateway.proxy.breaker import Breaker
from gateway.routing.table import Thresholds


@dataclass
class Bench:
    """A breaker, the time it sees, and what it tells."""

    seconds: float = 0.0
    changes: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaker = Breaker(
            Thresholds(failures=3, ratio=0.5, pause=0.5),
            now=lambda: self.seconds,
            on_change=self.changes.append,
        )

    def fail(self, times: int = 1) -> None:
        """Let requests fail one after the other."""
        for _ in range(times):
            passage = self.breaker.enter()
            assert passage is not None
            self.breaker.failed(passage)

    def succeed(self, times: int = 1) -> None:
        """Let requests be answered."""
        for _ in range(times):
            passage = self.breaker.enter()
            assert passage is not None
            self.breaker.answered(passage)


@pytest.fixture
def bench() -> Bench:
    """Give a closed breaker."""
    return Bench()


class TestOpening:
    """What opens it."""

    def test_follows_failures_in_a_row(self, bench: Bench) -> None:
        """An answer between them begins the row anew."""
        bench.fail(2)
        bench.succeed()
        bench.fail(2)
        assert bench.breaker.may_pass()
        bench.fail()
        assert not bench.breaker.may_pass()
        assert bench.breaker.enter() is None
        assert bench.changes == [True]

    def test_follows_a_share_of_many(self, bench: Bench) -> None:
        """Half of at least twenty requests, though never three in a row."""
        for _ in range(9):
            bench.fail()
            bench.succeed()
        bench.fail()
        assert bench.breaker.may_pass()
        bench.fail()
        assert not bench.breaker.may_pass()

    def test_judges_a_window_alone(self, bench: Bench) -> None:
        """What failed more than ten seconds ago is forgotten."""
        for _ in range(9):
            bench.fail()
            bench.succeed()
        bench.seconds = 10.0
        bench.succeed()
        bench.fail(2)
        assert bench.breaker.may_pass()

    def test_takes_overload_for_a_share_and_not_for_a_row(self, bench: Bench) -> None:
        """An upstream that says 503 is alive."""
        for _ in range(19):
            passage = bench.breaker.enter()
            assert passage is not None
            bench.breaker.overloaded(passage)
        assert bench.breaker.may_pass()
        passage = bench.breaker.enter()
        assert passage is not None
        bench.breaker.overloaded(passage)
        assert not bench.breaker.may_pass()


class TestClosing:
    """What closes it."""

    def test_follows_the_answer_to_a_probe(self, bench: Bench) -> None:
        """One request after the pause; whoever comes meanwhile is refused."""
        bench.fail(3)
        bench.seconds = 0.5
        probe = bench.breaker.enter()
        assert probe is not None
        assert bench.breaker.enter() is None
        bench.breaker.answered(probe)
        bench.succeed(2)
        assert bench.changes == [True, False]

    def test_waits_for_another_pause_when_the_probe_fails(self, bench: Bench) -> None:
        """It is told once that it is open."""
        bench.fail(3)
        bench.seconds = 0.5
        bench.fail()
        bench.seconds = 0.9
        assert bench.breaker.enter() is None
        bench.seconds = 1.0
        bench.succeed()
        assert bench.changes == [True, False]

    def test_does_not_wait_for_a_probe_for_ever(self, bench: Bench) -> None:
        """Its client may have left, or it asks for something slow."""
        bench.fail(3)
        bench.seconds = 0.5
        assert bench.breaker.enter() is not None
        bench.seconds = 1.0
        assert bench.breaker.enter() is not None

    def test_ignores_what_began_before(self, bench: Bench) -> None:
        """A late answer is no probe's, and a late failure does not open it again."""
        early = [bench.breaker.enter() for _ in range(5)]
        bench.fail(3)
        first, *others = (passage for passage in early if passage is not None)
        bench.breaker.answered(first)
        assert not bench.breaker.may_pass()
        bench.seconds = 0.5
        bench.succeed()
        for passage in others:
            bench.breaker.failed(passage)
        assert bench.breaker.may_pass()
