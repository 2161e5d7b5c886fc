"""Making a data folder: whole or not at all."""

import os
import shutil
import subprocess
from pathlib import Path

from chassis.postgres.binaries import Installation, PostgresError
from chassis.postgres.users import Identity, take_ownership

SUPERUSER = "postgres"

_INITDB_SECONDS = 60.0


def initialise(
    data: Path, *, password: str, installation: Installation, identity: Identity, durable: bool
) -> None:
    """Run initdb beside *data* and move the result in place. Raises PostgresError.

    A run that was killed half way leaves only the folder beside it, which the next one removes.
    """
    if data.exists():
        _remove_empty(data)
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    take_ownership(fresh, identity)
    answer = subprocess.run(  # noqa: S603 - our own command
        [*identity.prefix, *_command(installation, fresh, durable=durable)],
        input=password,
        capture_output=True,
        text=True,
        timeout=_INITDB_SECONDS,
        check=False,
        env=environment(),
    )
    if answer.returncode != 0:
        complaint = (answer.stderr or answer.stdout).strip().splitlines()[-1:]
        raise PostgresError(f"initdb failed in {data.parent}: {' '.join(complaint)}")
    fresh.rename(data)


def environment() -> dict[str, str]:
    """Return what PostgreSQL may see of our environment: nothing that changes its behaviour."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _remove_empty(data: Path) -> None:
    try:
        data.rmdir()
    except OSError:
        raise PostgresError(
            f"{data} is not empty and holds no PostgreSQL data: choose another folder"
        ) from None


def _command(installation: Installation, folder: Path, *, durable: bool) -> list[str]:
    command = [installation.program("initdb"), "-D", str(folder), "-U", SUPERUSER]
    command += ["--pwfile=/dev/stdin", "--auth=scram-sha-256", "--no-instructions"]
    # One collation everywhere: the wheel has no ICU, and libc's change under an index.
    command += ["--encoding=UTF8", "--locale=C"]
    return command if durable else [*command, "--no-sync"]
