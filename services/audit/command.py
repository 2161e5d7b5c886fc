"""What an operator can do with the archive by hand: `python -m services.audit archive --help`."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry

from chassis.clock import SystemClock
from chassis.crypto import b64encode
from chassis.database import DatabaseUnavailable
from chassis.logs import configure
from chassis.settings import load
from chassis.terminal import command_parser, complain, say
from services.audit.app import archiver
from services.audit.domain.archive.errors import DamagedError, PostponedError
from services.audit.errors import ArchiveUnavailable
from services.audit.repository.archive import index
from services.audit.repository.archive.index import Partition
from services.audit.service.archive.archiver import Archiver
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.verification import Verification
from services.audit.settings import AuditSettings

_EXAMPLES = """examples:
  python -m services.audit archive run              archive everything past its retention, now
  python -m services.audit archive list             what is archived, what waits, which keys sign
  python -m services.audit archive verify           read all archives back and check them
  python -m services.audit archive verify 202601    only this one
  python -m services.audit archive discard 202601   begin an archive anew that was never verified

It takes the settings of the service (DATABASE_URL, ARCHIVE_…, AUDIT_RETENTION_DAYS). A running
service need not be stopped: whoever comes second leaves the work to the first. Exit codes: 0 done,
1 something is wrong and nothing was dropped for it, 78 the settings are not complete.
"""

_Action = Callable[[Archiver, argparse.Namespace], Awaitable[int]]


def archive(arguments: Sequence[str]) -> int:
    """Do what *arguments* ask for and return the exit code."""
    asked = _parser().parse_args(arguments)
    settings = load(AuditSettings, needs=("archive_url",))
    configure(level="warning", style="console")
    metrics = ArchiveMetrics(CollectorRegistry())
    working = archiver(settings, clock=SystemClock(), metrics=metrics)
    return asyncio.run(_perform(working, asked))


async def _perform(working: Archiver, asked: argparse.Namespace) -> int:
    action: _Action = asked.action
    try:
        return await action(working, asked)
    except DamagedError as error:
        return complain(f"damaged: {error}")
    except PostponedError as error:
        return complain(f"not now: {error}")
    except ArchiveUnavailable as error:
        return complain(f"the store cannot be used: {error}")
    except DatabaseUnavailable as error:
        return complain(str(error))
    finally:
        await working.database.close()


async def _run(working: Archiver, _asked: argparse.Namespace) -> int:
    done = await working.archive_due(_progress)
    if done is None:
        say("another archiver is at work")
        return 0
    say(f"{done} partitions archived and dropped")
    return 0


async def _list(working: Archiver, _asked: argparse.Namespace) -> int:
    if working.target is not None:
        for key_id, public in working.target.signer.public_keys.items():
            say(f"signing key {key_id}  Ed25519 {b64encode(public)}")
    for partition in await _archived(working):
        say(_line(partition))
    say(f"{await working.measure()} partitions past their retention are in the database")
    return 0


async def _verify(working: Archiver, asked: argparse.Namespace) -> int:
    partitions = [p for p in await _archived(working) if asked.name in (None, p.name)]
    if asked.name is not None and not partitions:
        return complain(f"{asked.name} is not archived")
    failures = 0
    for partition in partitions:
        failures += await _verify_one(working, partition)
    return min(failures, 1)


async def _verify_one(working: Archiver, partition: Partition) -> int:
    assert working.target is not None  # noqa: S101 - the settings were asked for it
    verification = Verification(database=working.database, target=working.target)
    try:
        found = await verification.verify(partition, _progress)
    except DamagedError as error:
        return complain(f"{partition.name} is damaged: {error}")
    say(
        f"{partition.name} is whole: {found.rows} rows in {found.objects} objects,"
        f" {found.open_shares} personal shares readable, {found.closed_shares} not any more"
    )
    return 0


async def _discard(working: Archiver, asked: argparse.Namespace) -> int:
    if not await working.discard(asked.name):
        return complain(f"{asked.name} has no archive that may be discarded")
    say(f"{asked.name} will be archived anew by the next run")
    return 0


async def _archived(working: Archiver) -> Sequence[Partition]:
    async with working.database.transaction() as tx:
        return await index.list_archived(tx)


def _line(partition: Partition) -> str:
    state = "written"
    if partition.verified_at is not None:
        state = f"verified {partition.verified_at:%Y-%m-%d %H:%M}Z"
    where = "still in the database" if partition.dropped_at is None else "dropped"
    return f"{partition.name}  {partition.row_count} rows  {state}  {where}  {partition.location}"


def _progress(step: str, partition: str, facts: Mapping[str, object]) -> None:
    """Say how far a long work is, on standard error: the answer alone goes to standard output."""
    told = " ".join(f"{name}={value}" for name, value in facts.items())
    sys.stderr.write(f"{partition} {step.replace('_', ' ')} {told}".rstrip() + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("python -m services.audit archive", __doc__, _EXAMPLES)
    actions = parser.add_subparsers(required=True, metavar="run|list|verify|discard")
    for name, action, text in (
        ("run", _run, "archive and drop what is past its retention"),
        ("list", _list, "show what is archived and what waits"),
        ("verify", _verify, "read archives back and check them"),
        ("discard", _discard, "forget an archive that was never verified"),
    ):
        one = actions.add_parser(name, help=text, description=text)
        one.set_defaults(action=action)
        if name in {"verify", "discard"}:
            one.add_argument("name", nargs="?" if name == "verify" else None, help="a partition")
    return parser
