"""The syntax of rates: `10/minute`."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BeforeValidator, PlainSerializer

_PERIODS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_SYNTAX = re.compile(rf"([1-9][0-9]{{0,8}})\s*/\s*({'|'.join(_PERIODS)})")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so much time.

    `interval_us` are the microseconds one request costs (GCRA's emission interval).
    """

    limit: int
    period: timedelta
    period_us: int = field(init=False, repr=False, compare=False)
    interval_us: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        period_us = self.period // timedelta(microseconds=1)
        object.__setattr__(self, "period_us", period_us)
        object.__setattr__(self, "interval_us", max(1, period_us // self.limit))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<count>/second|minute|hour|day`. Raises ValueError."""
        match = _SYNTAX.fullmatch(text.strip())
        if match is None:
            raise ValueError("is not a rate such as 10/minute")
        return cls(int(match[1]), _PERIODS[match[2]])

    def divided(self, parts: int) -> "Rate":
        """Return the share of one of *parts* that count on their own: at least 1."""
        return Rate(max(1, self.limit // parts), self.period)

    def __str__(self) -> str:
        name = next(name for name, period in _PERIODS.items() if period == self.period)
        return f"{self.limit}/{name}"


def _parse(value: object) -> object:
    return Rate.parse(value) if isinstance(value, str) else value


RateField = Annotated[Rate, BeforeValidator(_parse), PlainSerializer(str)]
"""A `Rate` as a field of settings and of the route table."""
