"""`make migrate` brings four empty databases to what the services need."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from chassis.database import Database
from chassis.schema_version import schema_check
from chassis.testing.fixtures import MakeDatabase

ROOT = Path(__file__).parents[1]
SERVICES = ("identity", "token", "notify", "audit")


async def test_the_script_migrates_every_service(make_database: MakeDatabase) -> None:
    """From the variables it documents."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    databases = {name: await make_database("empty") for name in SERVICES}
    for name, database in databases.items():
        environment[f"{name.upper()}_DATABASE_URL"] = database.app_url
        environment[f"{name.upper()}_DATABASE_OWNER_URL"] = database.owner_url

    done = await asyncio.to_thread(
        subprocess.run,
        [ROOT / "scripts" / "migrate", Path(sys.executable).parent],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr

    for name, migrated in databases.items():
        opened = Database(migrated.app_url, pool_min=1, pool_max=1)
        await schema_check(opened, str(ROOT / "services" / name / "app.py"))()
        await opened.close()
