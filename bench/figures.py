"""Figures as a bench prints them: every round, and the median of each column."""

import statistics
from collections.abc import Sequence

from bench.cpu import load_average


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that *share* of all do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


# The longest is that of a tree compared with, and its median.
_NAME_WIDTH = 20


class Table:
    """Rows of numbers under names, printed as they come, each with the load of the machine."""

    def __init__(self, *columns: str, decimals: int = 2) -> None:
        self._columns = (*columns, "load")
        self._decimals = decimals
        self._rows: dict[str, list[tuple[float, ...]]] = {}
        cells = (f"{column:>12}" for column in self._columns)
        print(" ".join([f"{'round':>{_NAME_WIDTH}}", *cells]), flush=True)

    def add(self, name: str, *values: float) -> None:
        """Print and keep one round."""
        rows = self._rows.setdefault(name, [])
        rows.append((*values, load_average()))
        self._print(f"{name} {len(rows)}", rows[-1])

    def median(self, name: str, column: str) -> float:
        """Return the median of one column."""
        return self._medians(name)[self._columns.index(column)]

    def print_medians(self) -> None:
        """Print the median of every column."""
        for name in self._rows:
            self._print(f"{name} median", self._medians(name))

    def _medians(self, name: str) -> tuple[float, ...]:
        return tuple(statistics.median(column) for column in zip(*self._rows[name], strict=True))

    def _print(self, name: str, values: Sequence[float]) -> None:
        cells = [f"{value:>12.{self._decimals}f}" for value in values]
        print(" ".join([f"{name:>{_NAME_WIDTH}}", *cells]), flush=True)


def verdict(name: str, value: float, goal: float, *, at_most: bool = False) -> None:
    """Say in one line whether a goal is met."""
    met = value <= goal if at_most else value >= goal
    sign = "≤" if at_most else "≥"
    print(f"{name}: {value:.2f}, goal {sign} {goal:g}: {'met' if met else 'MISSED'}", flush=True)
