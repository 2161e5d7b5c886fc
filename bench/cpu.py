"""CPU seconds and memory of processes, as the kernel counts them (Linux: proc(5))."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident and proportional set size in bytes; the latter shares out what is shared."""

    rss: int
    pss: int


def seconds_of(pid: int) -> float:
    """Return the CPU time of a process with all its threads."""
    return sum(_times(pid)[:2])


def seconds_of_tree(pid: int) -> float:
    """Return the CPU time of a process, its descendants, and those that have ended."""
    return sum(_times(pid)) + sum(seconds_of_tree(child) for child in _children(pid))


def rss_of_tree(pid: int) -> int:
    """Return the resident sets of a process and its descendants, in bytes."""
    return memory_of(pid).rss + sum(rss_of_tree(child) for child in _children(pid))


def memory_of(pid: int) -> Memory:
    """Return what a process holds now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = {line.partition(":")[0]: line.split()[1] for line in lines[1:]}
    return Memory(rss=int(sizes["Rss"]) * _KIB, pss=int(sizes["Pss"]) * _KIB)


def peak_of(pid: int) -> int:
    """Return the largest resident set a process has had since its start, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.partition(":")[::2] for line in lines)
    return int(fields["VmHWM"].split()[0]) * _KIB


def load_average() -> float:
    """Return the load of the last minute: what else the machine was busy with."""
    return os.getloadavg()[0]


def _times(pid: int) -> tuple[float, float, float, float]:
    """Return user and system time, own and of children that have ended, in seconds."""
    fields = _fields(pid)
    if not fields:
        return (0.0, 0.0, 0.0, 0.0)
    user, system, ended_user, ended_system = (int(field) / _TICKS for field in fields[11:15])
    return (user, system, ended_user, ended_system)


def _children(pid: int) -> list[int]:
    return [child for child in _processes() if _parent(child) == pid]


def _parent(pid: int) -> int:
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def _fields(pid: int) -> list[str]:
    """Return the fields behind the name; none when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - a hundred names at once
