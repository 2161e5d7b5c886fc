"""Start the whole platform in this process: `make run`, or `python -m allinone`."""

import argparse
import asyncio
import sys
from datetime import timedelta

import uvloop

from allinone.assembly import build, find_all_complaints, wire
from allinone.databases import SERVICES, prepare
from allinone.datadir import DataDir
from allinone.settings import AllInOneSettings
from chassis.background import Background
from chassis.bus import platform_queues
from chassis.inprocess import InProcessBus
from chassis.logs import configure, get_logger
from chassis.postgres import PostgresError, PrivatePostgres
from chassis.server import Serving, serve
from chassis.settings import load, refused

_LOOK_EVERY = timedelta(seconds=0.5)
log = get_logger("allinone")

_READY = """
Gatehouse is ready.

  API        {base}/api/v1
  Reference  {base}/docs   (also /redoc and /openapi.json)
  Mails      {base}/dev/inbox
  Keys       {base}/.well-known/jwks.json
  Data       {data}   (secrets inside; delete it to start anew)

Try it:

  curl -X POST {base}/api/v1/auth/register -H "Content-Type: application/json" \\
    -d '{{"email": "user@example.com", "username": "testuser", "password": "SecurePass123!"}}'

Ctrl-C stops it.
"""


def main() -> int:
    """Start everything, serve until SIGTERM or Ctrl-C, and return the exit code."""
    _parser().parse_args()
    settings = load(AllInOneSettings)
    configure(level=settings.log_level, style=settings.log_format)
    data_dir = DataDir(settings.data_dir)
    if complaints := find_all_complaints(settings, data_dir):
        raise refused(complaints)
    postgres = PrivatePostgres(
        data_dir.path / "postgres", password=data_dir.secret("postgres_password")
    )
    try:
        _say("Starting PostgreSQL …")
        postgres.start()
        data_dir.claim()
    except PostgresError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, data_dir, postgres))
    finally:
        postgres.stop()
        data_dir.release()
    return 0


async def _run(settings: AllInOneSettings, data_dir: DataDir, postgres: PrivatePostgres) -> None:
    _say("Bringing the databases up to date …")
    # One after the other: Alembic keeps the running migration in module globals.
    admin_url = postgres.admin_url
    databases = {service: await prepare(admin_url, data_dir, service) for service in SERVICES}

    bus = InProcessBus(platform_queues())

    def tell(_serving: Serving) -> None:
        bus.open()
        _say(_READY.format(base=settings.base_url, data=data_dir.path))

    async with Background() as background:
        background.start("postgres", lambda: _keep_alive(postgres, background))
        await serve(build(wire(settings, data_dir, databases), bus), on_started=tell)


async def _keep_alive(postgres: PrivatePostgres, background: Background) -> None:
    """Start PostgreSQL again when it has died; until then every service answers 503."""
    while not background.stopping.is_set():
        if not postgres.alive:
            log.error("postgres.died")
            # Not in a thread: the server dies with the thread that started it.
            postgres.restart()
            log.info("postgres.restarted")
        await background.pause(_LOOK_EVERY)


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="python -m allinone",
        description=__doc__,
        epilog="Settings come from the environment: PORT=9000 DATA_DIR=/tmp/gatehouse make run. "
        "Every setting of every service is listed in .env.example.",
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
