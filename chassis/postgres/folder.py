"""Who may run PostgreSQL in a data folder, and what to do with a server that was left in it."""

import fcntl
import os
import signal
from pathlib import Path

from chassis.postgres.binaries import PostgresError
from chassis.processes import command_of, wait_until

LEFTOVER_SECONDS = 15.0


def claim(data: Path) -> int:
    """Take the folder for as long as this process lives, and return what holds it (close it).

    Whoever has the claim may stop what runs in the folder. Raises PostgresError.
    """
    lock = data.with_name(f"{data.name}.lock")
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PostgresError(
            f"{data.parent} cannot be used ({error.strerror}): run as its owner, or choose another"
            " folder"
        ) from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise PostgresError(
            f"another process already runs PostgreSQL in {data}: stop it first, or choose another"
            " folder"
        ) from None
    return held


def stop_leftover(data: Path) -> None:
    """Stop a postmaster that outlived the process that started it. Raises PostgresError."""
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except (OSError, ValueError):
        return  # no lock, or a dead process: PostgreSQL itself clears that up
    if not _runs_in(data, pid):
        # The number belongs to another process now, or to a zombie: PostgreSQL would refuse to
        # start for its sake.
        lock.unlink(missing_ok=True)
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if not _runs_in(data, pid):
            return
        os.kill(pid, number)
        if wait_until(lambda: not _runs_in(data, pid), timeout=LEFTOVER_SECONDS):
            return
    raise PostgresError(f"PostgreSQL (process {pid}) still runs in {data}: stop it by hand")


def _runs_in(data: Path, pid: int) -> bool:
    return f"-D {data}" in command_of(pid)
