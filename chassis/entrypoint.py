"""The command line every deployable has: `python -m services.identity [serve|migrate]`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from chassis.app import Deployable
from chassis.logs import configure
from chassis.server import run
from chassis.settings import ProcessSettings, Settings, load

S = TypeVar("S", bound=ProcessSettings)

Command = Callable[[Sequence[str]], int]
"""Takes the rest of the command line and returns the exit code."""


class MigrationSettings(Settings):
    """What `migrate` is told: the owner's URL, and the app role as the service's own URL has it."""

    database_owner_url: SecretStr
    database_url: SecretStr


def main(
    name: str,
    settings_type: type[S],
    build: Callable[[S], Deployable],
    room: Path | None = None,
    *,
    commands: Mapping[str, Command] | None = None,
    serve: Callable[[S], None] | None = None,
) -> None:
    """Serve the deployable *name* (its module), or bring its database up to date.

    *room* is the folder of a service that has migrations; *commands* are what else it can do;
    *serve* is how it is served when not by this one process.
    Exits 78 with every complaint when the settings are not complete.
    """
    own = commands or {}
    if len(sys.argv) > 1 and sys.argv[1] in own:
        raise SystemExit(own[sys.argv[1]](sys.argv[2:]))
    arguments = _parser(name, has_database=room is not None, own=tuple(own)).parse_args()
    if room is not None and arguments.command == "migrate":
        migrations = load(MigrationSettings)
        configure(level="info", style="json")
        asyncio.run(_migrate(migrations, room / "migrations"))
        return
    # Only the gateway, which has no room of migrations, can do without the broker.
    settings = load(settings_type, needs=("rabbitmq_url",) if room is not None else ())
    configure(level=settings.log_level, style=settings.log_format)
    (serve or (lambda given: run(lambda: build(given))))(settings)


async def _migrate(settings: MigrationSettings, script_location: Path) -> None:
    # The gateway has no database and its image no SQLAlchemy: imported where it is needed.
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    from chassis.migrations import migrate  # noqa: PLC0415

    await migrate(
        owner_url=settings.database_owner_url.get_secret_value(),
        script_location=script_location,
        app_role=make_url(settings.database_url.get_secret_value()).username or "",
    )


def _parser(name: str, *, has_database: bool, own: tuple[str, ...]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=f"{name} of Gatehouse. Its settings come from the environment (.env.example).",
        epilog=f"Example: LOG_FORMAT=console python -m {name}",
    )
    commands = ("serve", "migrate") if has_database else ("serve",)
    parser.add_argument("command", nargs="?", choices=(*commands, *own), default="serve")
    return parser
