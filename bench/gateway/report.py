"""What the rounds showed: a table in Markdown, and each goal met or missed."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import verdict
from bench.gateway.measuring import Measured
from bench.gateway.rows import OTHER, REFERENCE

Round = Mapping[str, Measured]

MAX_MIB = 60
_OURS = "gatehouse"
_THROUGHPUT = (
    ("gatehouse-leased", 1.0),
    ("gatehouse-exact", 0.75),
    ("gatehouse-new-rs256", 0.35),
    ("gatehouse-new-es256", 0.35),
)
_LATENCY = (("gatehouse-leased", 2.0), ("gatehouse-exact", 2.0))
_NODE = 3.0
_HEAD = (
    "System",
    "per core-s",
    "÷ HAProxy",
    "p50 ms",
    "p99 ms",
    "p99 ms, same load",
    "Redis: calls, µs",
    "RSS MiB, start → end",
)
_NOTHING = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The rounds, what each system held when it was started (MiB), and what a row is about."""

    rounds: Sequence[Round]
    started: Mapping[str, float]
    about: Mapping[str, str]

    def print(self) -> None:
        """Print table and goals."""
        print("", *self.lines(), "", sep="\n", flush=True)
        self._print_goals()
        self._print_ratios_to_other()

    def lines(self) -> Iterable[str]:
        """Return the table."""
        yield _line(_HEAD)
        yield _line(["---"] * len(_HEAD))
        for name in self.started:
            yield _line(self._cells(name))

    @property
    def void(self) -> list[str]:
        """Return the systems that did not answer every request with 2xx."""
        return [name for name in self.started if self._bad(name)]

    def _cells(self, name: str) -> list[str]:
        shown = f"{self.about[name]} (`{name}`)"
        if self._bad(name):
            return [shown, f"void: {self._bad(name)} bad answers", *[""] * (len(_HEAD) - 2)]
        return [
            shown,
            f"{self._median(name, lambda one: one.per_core_second):.0f}",
            self._ratios(name),
            f"{self._median(name, lambda one: one.answered.p50):.1f}",
            f"{self._median(name, lambda one: one.answered.p99):.1f}",
            self._offered(name),
            self._redis(name),
            f"{self.started[name]:.0f} → {self._rss(name):.0f}",
        ]

    def _ratios(self, name: str) -> str:
        values = self._compared(name, REFERENCE, lambda one: one.per_core_second)
        if not values:
            return _NOTHING
        return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"

    def _redis(self, name: str) -> str:
        calls = self._median(name, lambda one: one.redis_calls)
        spent = self._median(name, lambda one: one.redis_microseconds)
        lost = self._lost(name)
        text = f"{calls:.2f}, {spent:.0f}" if calls else _NOTHING
        return f"{text}; lost {lost} times" if lost else text

    def _offered(self, name: str) -> str:
        found = [one[name].offered for one in self.rounds]
        offered = [one for one in found if one is not None]
        if not offered:
            return _NOTHING
        rate = statistics.median(one.rate for one in offered)
        late = sum(one.unanswered for one in offered) / sum(one.arrived for one in offered)
        p99 = statistics.median(one.p99 for one in offered)
        shown = f"> {p99:.0f}, {late:.0%} unanswered," if late else f"{p99:.1f}"
        return f"{shown} at {rate:.0f}/s"

    def _print_goals(self) -> None:
        for name, goal in _THROUGHPUT:
            self._compare(f"{name} ÷ {REFERENCE}", name, REFERENCE, goal)
        self._compare("gatehouse-leased ÷ node", "gatehouse-leased", "node", _NODE)
        for name, goal in _LATENCY:
            values = self._compared(name, REFERENCE, _offered_p99)
            self._judge(f"{name} p99 ÷ {REFERENCE}'s, same load", values, goal, at_most=True)
        ours = [name for name in self.started if name.startswith(_OURS)]
        if ours:
            largest = max(ours, key=self._rss)
            verdict(f"{largest} RSS MiB", self._rss(largest), MAX_MIB, at_most=True)
        for name in self.started:
            if lost := self._lost(name):
                print(f"{name}: Redis was lost {lost} times; until it was back, memory decided")
        for name in self.void:
            print(f"{name}: {self._bad(name)} bad answers, goal 0: MISSED, the row is void")

    def _print_ratios_to_other(self) -> None:
        for other in self.started:
            name = other.removeprefix(OTHER)
            values = self._compared(name, other, lambda one: one.per_core_second)
            if name != other and values:
                print(f"{name} ÷ {other}: {statistics.median(values):.2f}")

    def _compare(self, title: str, name: str, other: str, goal: float) -> None:
        values = self._compared(name, other, lambda one: one.per_core_second)
        self._judge(title, values, goal)

    def _judge(
        self, title: str, values: Sequence[float], goal: float, *, at_most: bool = False
    ) -> None:
        if values:
            verdict(title, statistics.median(values), goal, at_most=at_most)

    def _compared(
        self, name: str, other: str, figure: Callable[[Measured], float]
    ) -> Sequence[float]:
        """Return the ratio of each round; none when one of the two is missing or void."""
        if not {name, other} <= self.started.keys() - set(self.void):
            return []
        pairs = [(figure(one[name]), figure(one[other])) for one in self.rounds]
        return [value / reference for value, reference in pairs if reference]

    def _median(self, name: str, figure: Callable[[Measured], float]) -> float:
        return statistics.median(figure(one[name]) for one in self.rounds)

    def _rss(self, name: str) -> float:
        return max(one[name].rss_mib for one in self.rounds)

    def _lost(self, name: str) -> int:
        return sum(one[name].redis.lost for one in self.rounds)

    def _bad(self, name: str) -> int:
        return sum(one[name].bad for one in self.rounds)


def _offered_p99(one: Measured) -> float:
    return one.offered.p99 if one.offered else 0.0


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
