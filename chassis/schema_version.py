"""Whether a database is new enough for the code that works with it.

A tree of migrations is a line of numbers. The code needs everything up to its newest `pre`
migration: the `post` ones behind it only clear up. A database that is ahead is good, for migrations
suit the code before them as well; so old and new processes are ready side by side while a release
goes out.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import sqlalchemy as sa

from chassis.database import Database, DatabaseUnavailable

_PRE = re.compile(r"^(\d{4})_pre_\w+\.py$")
_CURRENT = sa.text("SELECT max(version_num::integer) FROM alembic_version")


class SchemaBehindError(RuntimeError):
    """The database lacks migrations of this release."""


def needed_revision(script_location: Path) -> int:
    """Return the number of the newest `pre` migration of the tree; 0 when there is none."""
    names = (path.name for path in (script_location / "versions").glob("*.py"))
    return max((int(match[1]) for name in names if (match := _PRE.match(name))), default=0)


def schema_check(database: Database, beside: str) -> Callable[[], Awaitable[None]]:
    """Return the readiness check of a service whose `migrations` stand beside the file *beside*.

    It raises SchemaBehindError. A database that is away is another check's business.
    """
    needed = needed_revision(Path(beside).with_name("migrations"))

    async def check() -> None:
        try:
            async with database.transaction() as tx:
                current = await tx.scalar(_CURRENT)
        except DatabaseUnavailable:
            return
        if (current or 0) < needed:
            raise SchemaBehindError(f"at {current or 0}, {needed} is needed")

    return check
