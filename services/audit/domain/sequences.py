"""Gaps in what a producer numbered: events that were published and never arrived (D15)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Numbers from `first` to `last`, both included, that no row has."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """Return how many numbers are missing."""
        return self.last - self.first + 1


def gaps_between(seen_to: int, numbers: Iterable[int]) -> list[Gap]:
    """Return what is missing from *seen_to* (excluded) up to the last of *numbers* (ascending)."""
    gaps = []
    expected = seen_to + 1
    for number in numbers:
        if number > expected:
            gaps.append(Gap(expected, number - 1))
        expected = max(expected, number + 1)
    return gaps


def remaining(gap: Gap, arrived: Sequence[int]) -> list[Gap]:
    """Return what is left of *gap* when the numbers *arrived* (ascending, within it) are there."""
    return gaps_between(gap.first - 1, [*arrived, gap.last + 1])
