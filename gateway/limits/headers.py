"""The headers that tell clients about limits (draft-ietf-httpapi-ratelimit-headers-10)."""

from collections.abc import Mapping
from math import ceil

from gateway.limits.limiter import Decision, Demand

_MICROSECONDS = 1_000_000


def rate_limit_headers(decision: Decision) -> Mapping[str, str]:
    """Return `RateLimit-Policy` of all limits and `RateLimit` of the one nearest to refusal.

    `q` is the quota, `w` the window, `r` what remains, `t` the time until the allowance is whole
    again; times are in seconds.
    """
    policies = ", ".join([_policy(verdict.demand) for verdict in decision.verdicts])
    tightest = decision.tightest
    reset = ceil(tightest.reset_us / _MICROSECONDS)
    return {
        "RateLimit-Policy": policies,
        "RateLimit": f'"{tightest.demand.name}";r={tightest.remaining};t={reset}',
    }


def _policy(demand: Demand) -> str:
    rate = demand.rate
    return f'"{demand.name}";q={rate.limit};w={rate.period_us // _MICROSECONDS}'
