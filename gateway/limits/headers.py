"""The headers that tell clients about limits (draft-ietf-httpapi-ratelimit-headers-10)."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from chassis.rates import Rate
from gateway.limits.limiter import Decision

_MICROSECONDS: Final = 1_000_000


class Named(Protocol):
    """A limit by its public name."""

    @property
    def name(self) -> str:
        """The name that stands in headers."""
        ...

    @property
    def rate(self) -> Rate:
        """How many in which time."""
        ...


def rate_limit_headers(decision: Decision) -> Mapping[str, str]:
    """Return `RateLimit-Policy` of all limits and `RateLimit` of the one nearest to refusal.

    `q` is the quota, `w` the window, `r` what remains, `t` the time until the allowance is whole
    again; times are in seconds.
    """
    return {
        "RateLimit-Policy": policies_of([verdict.demand for verdict in decision.verdicts]),
        "RateLimit": rate_limit_of(decision),
    }


def policies_of(limits: Iterable[Named]) -> str:
    """Return `RateLimit-Policy` of *limits*."""
    return ", ".join([_policy(limit) for limit in limits])


def rate_limit_of(decision: Decision) -> str:
    """Return `RateLimit`."""
    tightest = decision.tightest
    reset = -(-tightest.reset_us // _MICROSECONDS)  # rounded up
    return f'"{tightest.demand.name}";r={tightest.remaining};t={reset}'


def _policy(limit: Named) -> str:
    rate = limit.rate
    return f'"{limit.name}";q={rate.limit};w={rate.period_us // _MICROSECONDS}'
