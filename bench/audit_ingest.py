"""Events per second from a full queue to committed rows of the audit log.

    python -m bench.audit_ingest
    python -m bench.audit_ingest --rounds 3 --events 5000
    python -m bench.audit_ingest --against ../gatehouse-before     # two working trees, in turn

Starts five processes with RabbitMQ, Redis and a durable PostgreSQL. In each round audit is stopped,
--events events are published, and audit is started again. Measured is the time between its first
and its last batch, by the database's clock as it stands in the rows: the start of the process does
not count. CPU is that of the audit process since its start and of the whole PostgreSQL.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from bench.cpu import seconds_of, seconds_of_tree
from bench.figures import Table, verdict
from bench.starting import Ground, five_processes, ground
from chassis.bus import Message, Outcome, platform_queues
from chassis.clock import SystemClock
from chassis.ids import uuid7
from chassis.rabbitmq import RabbitMQBus
from chassis.testing import eventually
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent, EventData
from contracts.identity import LoginSucceeded
from contracts.token import SessionStarted, TokenRefreshed
from tests.platforms.five import FiveProcesses
from tests.platforms.process import ROOT

GOAL = 1000
_BATCH = 500
_CLOCK = SystemClock()
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True, slots=True)
class Ingest:
    """What the log says of one round: its rows, those of the first batch, seconds in between."""

    rows: int
    first_batch: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Return rows per second, the first batch being the start."""
        return (self.rows - self.first_batch) / self.seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.audit_ingest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=10_000, help="the backlog of a round")
    parser.add_argument("--against", type=Path, help="another working tree to compare with")
    arguments = parser.parse_args()
    roots = [ROOT, *([arguments.against] if arguments.against else [])]
    print("starting the platform …", flush=True)
    with ground() as standing, five_processes(standing, roots=roots) as platforms:
        asyncio.run(_run(standing, platforms, arguments))


async def _run(
    standing: Ground, platforms: Sequence[FiveProcesses], arguments: argparse.Namespace
) -> None:
    table = Table("events", "per second", "audit us", "pg us", "per core-s", decimals=1)
    for _ in range(arguments.rounds):
        for name, platform in zip(("this", "other"), platforms, strict=False):
            await _round(standing, platform, arguments.events, name, table)
    table.print_medians()
    verdict("events per second", table.median("this", "per second"), GOAL)


async def _round(
    standing: Ground, platform: FiveProcesses, number: int, name: str, table: Table
) -> None:
    audit, source = platform.processes["audit"], f"bench-{uuid4().hex[:8]}"
    audit.stop()
    await _publish(platform, source, number)
    url = urlsplit(standing.postgres.admin_url)._replace(path=platform.database("audit"))
    connection = await asyncpg.connect(urlunsplit(url))
    before = seconds_of_tree(standing.postgres.pid)
    audit.start()
    try:
        for condition in (_NEARLY_ALL, _ALL):
            arrived = partial(connection.fetchval, condition, source, number)
            await eventually(arrived, within=timedelta(minutes=3))
        database = seconds_of_tree(standing.postgres.pid) - before
        own = seconds_of(audit.pid)
        row = await connection.fetchrow(_INGEST, source)
    finally:
        await connection.close()
    platform.wait_until_ready("audit")
    ingest = Ingest(*row)
    costs = (own / number * 1e6, database / number * 1e6, number / (own + database))
    table.add(name, ingest.rows, ingest.per_second, *costs)


# The first is cheap to ask again and again: the index leads to the end of a source's numbers.
_NEARLY_ALL = "SELECT max(producerseq) = $2 FROM audit_log WHERE source = $1"
_ALL = "SELECT count(*) = $2 FROM audit_log WHERE source = $1"

_INGEST = """
SELECT count(*), count(*) FILTER (WHERE received_at = first), extract(epoch FROM
    max(received_at) - min(received_at))::float8
FROM audit_log, LATERAL (SELECT min(received_at) AS first FROM audit_log WHERE source = $1) f
WHERE source = $1
"""


async def _publish(platform: FiveProcesses, source: str, number: int) -> None:
    """Fill the queue of the audit service."""
    bus = RabbitMQBus(platform.rabbitmq_url, name="bench", queues=platform_queues())
    try:
        events = _events(source, number)
        while batch := list(islice(events, _BATCH)):
            outcomes = await bus.publish([_message(event) for event in batch])
            if set(outcomes) != {Outcome.CONFIRMED}:
                raise SystemExit("the broker did not take every event")
    finally:
        await bus.close()


def _events(source: str, number: int) -> Iterator[CloudEvent]:
    """Make what a busy morning brings: logins, sessions and refreshes of many people."""
    for place in range(1, number + 1):
        user, session = uuid4(), uuid4()
        facts: tuple[EventData, ...] = (
            LoginSucceeded(user_id=user),
            SessionStarted(user_id=user, session_id=session, amr=("pwd",)),
            TokenRefreshed(user_id=user, session_id=session),
        )
        fact = facts[place % len(facts)]
        yield CloudEvent(
            id=uuid7(_CLOCK),
            source=source,
            type=fact.type,
            time=_CLOCK.now(),
            data=fact.model_dump(mode="json"),
            subject=str(user),
            dataschema=fact.schema_uri(),
            producerseq=str(place),
            actor=str(user),
            ip=f"198.51.{place // 250 % 250}.{place % 250}",
            useragent=_AGENT,
            traceparent=f"00-{uuid4().hex}-{uuid4().hex[:16]}-01",
        )


def _message(event: CloudEvent) -> Message:
    return Message(
        id=event.id, exchange=EVENTS_EXCHANGE, routing_key=event.type, body=event.to_json()
    )


if __name__ == "__main__":
    main()
