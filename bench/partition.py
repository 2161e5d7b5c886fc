"""A network of the bench's own, in which a port can be cut off without a word: packets dropped."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_INSIDE = "GATEHOUSE_BENCH_NETWORK"
_LOOPBACK_UP = 'ip link set lo up && exec "$@"'


def enter_own_network(module: str, arguments: Sequence[str]) -> bool:
    """Run *module* anew in a network namespace of its own; return False where that is not possible.

    True says that this is already the one inside. Nothing of the machine's own network is touched.
    """
    inside = bool(os.environ.get(_INSIDE))
    command = ["unshare", "--net"] + (["--map-root-user"] if os.geteuid() else [])
    if not inside and _works([*command, "iptables", "-L"]):
        os.environ[_INSIDE] = "1"
        python = [sys.executable, "-m", module, *arguments]
        os.execvp(command[0], [*command, "sh", "-c", _LOOPBACK_UP, "sh", *python])  # noqa: S606 - fixed words
    return inside


@contextmanager
def cut_off(port: int) -> Iterator[None]:
    """Drop every packet from and to *port*: no reset, no end, connections just fall silent."""
    rules = [
        ["INPUT", "-p", "tcp", side, str(port), "-j", "DROP"] for side in ("--dport", "--sport")
    ]
    for rule in rules:
        _iptables("-A", rule)
    try:
        yield
    finally:
        for rule in rules:
            _iptables("-D", rule)


def _iptables(what: str, rule: Sequence[str]) -> None:
    subprocess.run(["iptables", what, *rule], check=True)  # noqa: S603, S607 - fixed words


def _works(command: Sequence[str]) -> bool:
    if not all(shutil.which(program) for program in (command[0], "ip", "iptables")):
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603 - as above
