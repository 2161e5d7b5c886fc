"""Archive what is past its retention: write, read back, and only then drop; one archiver at a time.

Each step is on record before the next, and each can be done again: an archiver that was killed is
taken over by the next pass, of whichever process. Partitions go in the order of time, so that each
manifest follows from the one before; one that cannot be archived holds up those after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from chassis.background import Background
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from chassis.outbox import Outbox
from contracts.audit import ArchiveCompleted
from services.audit.domain.archive.errors import DamagedError, PostponedError
from services.audit.domain.archive.manifest import is_manifest, name_of
from services.audit.errors import ArchiveUnavailable
from services.audit.repository import partitions
from services.audit.repository.archive import index, keys, objects
from services.audit.repository.archive.index import Partition
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.target import Target
from services.audit.service.archive.verification import Verification
from services.audit.service.archive.writing import ROWS_PER_OBJECT, Tell, Writing

_EVERY = timedelta(hours=1)
_AGAIN = timedelta(minutes=1)
log = get_logger(__name__)


def _log_step(step: str, partition: str, facts: Mapping[str, object]) -> None:
    say = log.debug if step.startswith("object_") else log.info
    say("archive.step_done", step=step, partition=partition, **facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiver:
    """Archives partitions to *target*; without one it only says what waits.

    *retention* is how old all of a partition must be, *personal_retention* how long after its end
    an archived partition keeps the key to what is personal in it.
    """

    database: Database
    target: Target | None
    outbox: Outbox
    clock: Clock
    metrics: ArchiveMetrics
    retention: timedelta
    personal_retention: timedelta
    rows_per_object: int = field(default=ROWS_PER_OBJECT)

    async def archive_due(self, tell: Tell = _log_step) -> int | None:
        """Archive and drop every partition that is due; return how many, None as a follower.

        Raises ArchiveUnavailable, DamagedError, PostponedError, DatabaseUnavailable: what is not
        dropped by then is still in the database.
        """
        if self.target is None:
            return 0
        # This transaction holds the lead and nothing else. Should its connection break, two may
        # be at work: names tell contents, places are unique, so neither spoils the other's work.
        async with self.database.transaction() as leading:
            if not await index.claim_lead(leading):
                return None
            due = await self._list_due()
            for partition in due:
                await self._archive(partition, self.target, tell)
            await self._keep_keys(self.target)
        return len(due)

    async def discard(self, name: str) -> bool:
        """Forget what was written of a partition and not verified; the next pass begins anew.

        Raises ArchiveUnavailable, PostponedError, DatabaseUnavailable.
        """
        async with self.database.transaction() as tx:
            partition = await index.find_partition(tx, name)
            written = [one.name for one in await objects.list_objects(tx, name)]
            if partition is None or not await index.discard(tx, name):
                return False
        if partition.manifest is not None:
            written.append(name_of(name, partition.manifest))
        if self.target is not None:
            await self.target.store.remove(written)
        return True

    async def measure(self) -> int:
        """Tell what waits; return how many partitions do."""
        due = await self._list_due()
        async with self.database.transaction() as tx:
            last = await index.last_verified_at(tx)
            stray = await partitions.count_default(tx)
        self.metrics.configured.set(0 if self.target is None else 1)
        self.metrics.pending.set(len(due))
        self.metrics.last_success.set(0 if last is None else last.timestamp())
        if stray:
            log.warning("archive.default_rows_kept", rows=stray)
        if due and self.target is None:
            log.warning("archive.not_configured", partitions_pending=len(due))
        return len(due)

    async def run(self, background: Background) -> None:
        """Archive what is due now and hourly until *background* stops."""
        if self.target is None:
            log.warning("archive.not_configured", hint="set ARCHIVE_URL: nothing is dropped")
        while not background.stopping.is_set():
            await background.pause(_EVERY if await self._pass() else _AGAIN)

    async def _pass(self) -> bool:
        """Archive once; False when it has to be tried again soon."""
        try:
            # First, so that what waits is told also where nothing gets done.
            await self.measure()
            if await self.archive_due():
                await self.measure()
        except ArchiveUnavailable as error:
            self._failed("store_unavailable", str(error))
        except DamagedError as error:
            self._failed("damaged", str(error))
        except PostponedError as error:
            self._failed("postponed", str(error))
        except DatabaseUnavailable:
            self._failed("database_unavailable", "")
        else:
            return True
        finally:
            # An hour may pass: no connection is kept for it.
            await self.database.close()
        return False

    def _failed(self, reason: str, detail: str) -> None:
        self.metrics.failures.labels(reason).inc()
        say = log.error if reason == "damaged" else log.warning
        say("archive.failed", reason=reason, detail=detail)

    async def _list_due(self) -> list[Partition]:
        async with self.database.transaction() as tx:
            return list(await index.list_due(tx, ended_before=self.clock.now() - self.retention))

    async def _archive(self, partition: Partition, target: Target, tell: Tell) -> None:
        """Take *partition* from wherever an earlier attempt has left it to its drop."""
        if partition.manifest is None:
            writing = Writing(
                database=self.database,
                target=target,
                metrics=self.metrics,
                rows_per_object=self.rows_per_object,
            )
            await writing.write(partition, tell)
            partition = await self._again(partition)
        if partition.verified_at is None:
            await Verification(database=self.database, target=target).verify(partition, tell)
            tell("verified", partition.name, {})
            await self._confirm(partition)
            tell("confirmed", partition.name, {"rows": partition.row_count})
        await self._tidy(await self._again(partition), target)
        tell("tidied", partition.name, {})
        async with self.database.transaction() as tx:
            dropped = await index.drop(tx, partition.name)
        tell("dropped", partition.name, {"rows": dropped})

    async def _confirm(self, partition: Partition) -> None:
        """Put on record that the archive is whole, and tell it: both or neither, and once."""
        fact = ArchiveCompleted(partition=partition.name, rows=partition.row_count or 0)
        async with self.database.transaction() as tx:
            if await index.confirm(tx, partition.name, partition.sha256 or b""):
                await self.outbox.emit(tx, fact, subject=partition.name, caller=None)

    async def _tidy(self, partition: Partition, target: Target) -> None:
        """Remove what earlier attempts have left in the store.

        Raises DamagedError when somebody else has archived into the same place: theirs stays.
        """
        async with self.database.transaction() as tx:
            written = await objects.list_objects(tx, partition.name)
        keep = {one.name for one in written} | {name_of(partition.name, partition.manifest or b"")}
        others = [n for n in await target.store.names(partition.name) if n not in keep]
        for name in filter(is_manifest, others):
            try:
                target.signer.open(await target.store.get(name) or b"")
            except DamagedError:
                raise DamagedError(
                    f"{name} is not ours: does another installation archive here?"
                ) from None
        await target.store.remove(others)

    async def _again(self, partition: Partition) -> Partition:
        async with self.database.transaction() as tx:
            return await index.find_partition(tx, partition.name) or partition

    async def _keep_keys(self, target: Target) -> None:
        """Delete keys whose time is over; bring the others under the newest encryption key."""
        before = self.clock.now() - self.personal_retention
        async with self.database.transaction() as tx:
            gone = await keys.remove_expired(tx, ended_before=before)
        for name in gone:
            log.info("archive.personal_data_expired", partition=name)
        resealed = True
        while resealed:
            async with self.database.transaction() as tx:
                resealed = await target.ring.reseal(tx) > 0
