"""Add events to the log: the only way a row comes into being."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from chassis.database import Transaction
from chassis.inbox_rows import forget_person
from contracts.envelope import CloudEvent
from services.audit.domain.classification import deleted_person
from services.audit.domain.leaves import LogRecord, record
from services.audit.models import INBOX
from services.audit.repository import log
from services.audit.service.metrics import AuditMetrics
from services.audit.service.partitions import Partitions


class Recording:
    """Writes rows, their personal records, and erases persons who were deleted.

    *new_salt* returns 32 random bytes.
    """

    def __init__(
        self, partitions: Partitions, metrics: AuditMetrics, *, new_salt: Callable[[], bytes]
    ) -> None:
        self._partitions = partitions
        self._metrics = metrics
        self._new_salt = new_salt

    async def prepare(self, tx: Transaction) -> None:
        """Call this before *tx* touches the log, when it will record later on.

        Whoever makes partitions waits for readers, so no reader may wait for partitions.
        """
        await self._partitions.ensure_before_first_row(tx)

    async def record(self, tx: Transaction, events: Sequence[CloudEvent]) -> None:
        """Record *events* in *tx*, all of them or none, and erase whom they tell to erase.

        Raises NotCanonicalError or OverflowError for an event that cannot become a leaf.
        """
        await self.prepare(tx)
        deleted = {person for event in events if (person := deleted_person(event))}
        received_at = await log.begin_writing(tx, erasing=bool(deleted))
        records = [
            record(event, received_at=received_at, new_salt=self._new_salt) for event in events
        ]
        await log.add(tx, await self._without_erased(tx, records))
        erased = sum([await self._erase(tx, person) for person in sorted(deleted)])
        tx.after_commit(lambda: self._metrics.recorded(records, received_at=received_at))
        tx.after_commit(lambda: self._metrics.erased.inc(erased))

    async def _erase(self, tx: Transaction, person: UUID) -> int:
        await forget_person(tx, INBOX, person)
        return await log.erase(tx, person)

    async def _without_erased(
        self, tx: Transaction, records: Sequence[LogRecord]
    ) -> list[LogRecord]:
        """Leave out what is personal of persons already erased: events may come late."""
        persons = {s.person_id for r in records for s in r.personal if s.person_id is not None}
        gone = await log.list_erased(tx, persons)
        return [
            replace(one, personal=tuple(s for s in one.personal if s.person_id not in gone))
            for one in records
        ]
