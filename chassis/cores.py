"""How many cores this process may really use: affinity and cgroup quota, not the machine's."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cores(*, cgroup: Path = _CGROUP) -> int:
    """Return the smaller of affinity and CPU quota (cgroup v2, then v1), at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _quota_v2(cgroup / "cpu.max") or _quota_v1(cgroup / "cpu")
    cores = affinity or 1
    return max(1, cores if quota is None else min(cores, int(quota)))


def _quota_v2(path: Path) -> float | None:
    """Read `<microseconds or max> <period>`."""
    quota, _, period = _read(path).partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.strip().isdecimal() else None


def _quota_v1(folder: Path) -> float | None:
    quota = _read(folder / "cpu.cfs_quota_us").strip()
    period = _read(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
