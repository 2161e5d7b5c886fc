"""The command line every deployable has: `python -m services.identity [serve|migrate]`."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import make_url

from chassis.app import Deployable
from chassis.logs import configure
from chassis.migrations import migrate
from chassis.server import run
from chassis.settings import ServiceSettings, load, refused

S = TypeVar("S", bound=ServiceSettings)


def main(name: str, settings_type: type[S], build: Callable[[S], Deployable], room: Path) -> None:
    """Serve the service *name*, or bring its database up to date; *room* is its folder.

    Exits 78 with every complaint when the settings are not complete.
    """
    arguments = _parser(name).parse_args()
    settings = load(settings_type)
    configure(level=settings.log_level, style=settings.log_format)
    if arguments.command == "migrate":
        asyncio.run(_migrate(settings, room / "migrations"))
        return
    run(lambda: build(settings))


async def _migrate(settings: ServiceSettings, script_location: Path) -> None:
    if settings.database_owner_url is None:
        raise refused(["DATABASE_OWNER_URL: is not set (the role that owns the tables)"])
    app_role = make_url(settings.database_url.get_secret_value()).username
    await migrate(
        owner_url=settings.database_owner_url.get_secret_value(),
        script_location=script_location,
        app_role=app_role or "",
    )


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{name}",
        description=f"The {name} service of Gatehouse. Settings come from the environment.",
        epilog=f"Example: DATABASE_URL_FILE=/run/secrets/database_url python -m services.{name}",
    )
    parser.add_argument("command", nargs="?", choices=("serve", "migrate"), default="serve")
    return parser
