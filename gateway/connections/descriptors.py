"""How many clients a process can bear: each is an open file, and so is what it asks an upstream."""

import resource
from contextlib import suppress

from chassis.settings import refused

DEFAULT = 8192
RESERVED = 128
"""For what is neither a client nor an upstream's: the operators' port, Redis, RabbitMQ, files."""

_FEWEST = 16


def most_connections(wanted: int | None) -> int:
    """Return how many clients may be connected: *wanted*, or what the limit of open files allows.

    The soft limit is raised as far as that needs and the hard one allows: it is there for programs
    that use select(2). Exits 78 when *wanted* does not fit.
    """
    limit = _claim(2 * (wanted or DEFAULT) + RESERVED)
    if wanted is None:
        return max(_FEWEST, min(DEFAULT, (limit - RESERVED) // 2))
    if wanted + RESERVED > limit:
        raise refused([f"MAX_CONNECTIONS: only {limit} files may be open (ulimit -n)"])
    return wanted


def _claim(files: int) -> int:
    """Have the process open so many *files*, or as many as it may; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        return files if soft == resource.RLIM_INFINITY else soft
    wanted = files if hard == resource.RLIM_INFINITY else min(files, hard)
    with suppress(ValueError, OSError):  # macOS allows less than its infinity
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
