"""The same load for every system: requests that arrive so many a second, whoever is slow.

wrk cannot do this, and h2load sends one token only: the load is a process of our own
(`bench.gateway.arriving`).
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.gateway.saturation import LoadError
from bench.gateway.tokens import Tokens
from tests.platforms.process import ROOT

_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of requests that arrived; p50 and p99 in milliseconds since the arrival.

    Who had no answer a second after the last arrival counts with the time until then.
    """

    rate: float
    arrived: int
    unanswered: int
    bad: int
    p50: float
    p99: float


def offer(url: str, tokens: Tokens, *, rate: float, seconds: float) -> Offered:
    """Let *rate* requests a second arrive for *seconds*. Raises LoadError."""
    parts = urlsplit(url)
    told = (str(parts.port), parts.path, str(tokens.path), str(rate), str(seconds))
    ran = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "bench.gateway.arriving", *told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + _PATIENCE_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        raise LoadError(f"the load failed: {ran.stderr.strip()}")
    return Offered(**json.loads(ran.stdout))
