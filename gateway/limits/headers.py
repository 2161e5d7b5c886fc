"""The headers that tell clients about limits (draft-ietf-httpapi-ratelimit-headers-10)."""

from collections.abc import Mapping
from math import ceil

from gateway.limits.limiter import Decision

_MICROSECONDS = 1_000_000


def rate_limit_headers(decision: Decision) -> Mapping[str, str]:
    """Return `RateLimit-Policy` of all limits and `RateLimit` of the one nearest to refusal.

    `q` is the quota, `w` the window, `r` what remains, `t` the time until the allowance is whole
    again; times are in seconds.
    """
    policies = ", ".join(
        f'"{verdict.demand.name}";q={rate.limit};w={int(rate.period.total_seconds())}'
        for verdict in decision.verdicts
        for rate in (verdict.demand.rate,)
    )
    tightest = decision.tightest
    reset = ceil(tightest.reset_us / _MICROSECONDS)
    return {
        "RateLimit-Policy": policies,
        "RateLimit": f'"{tightest.demand.name}";r={tightest.remaining};t={reset}',
    }
