"""As much load as a system takes: wrk, one thread, every connection asks again at once."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.gateway.tokens import Tokens

CONNECTIONS = 64

_SCRIPT = Path(__file__).with_name("wrk.lua")
_PATIENCE_SECONDS = 60


class LoadError(Exception):
    """There was nobody to load; the message says what the load generator said."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back in *seconds*; p50 and p99 in milliseconds. `bad`: not 2xx, or none at all."""

    requests: int
    seconds: float
    bad: int
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        """Return the answers of a second."""
        return self.requests / self.seconds


def saturate(url: str, tokens: Tokens, *, first: int, seconds: int) -> Answered:
    """Ask for *seconds*, beginning with the token numbered *first*. Raises LoadError."""
    options = ["--threads", "1", "--connections", str(CONNECTIONS), "--timeout", "10s"]
    told = [*options, "--duration", f"{seconds}s", "--script", str(_SCRIPT), url]
    ran = subprocess.run(  # noqa: S603 - our own command
        ["wrk", *told, "--", str(tokens.path), str(first)],  # noqa: S607 - found on PATH beforehand
        capture_output=True,
        text=True,
        timeout=seconds + _PATIENCE_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        raise LoadError(f"wrk failed: {ran.stderr.strip() or ran.stdout.strip()}")
    return parse(ran.stdout)


def parse(output: str) -> Answered:
    """Read what wrk.lua prints last."""
    said = json.loads(output.strip().splitlines()[-1])
    return Answered(
        requests=said["requests"],
        seconds=said["duration"] / 1e6,
        bad=said["refused"] + said["broken"],
        p50=said["p50"] / 1000,
        p99=said["p99"] / 1000,
    )
