"""The detector: judges what was recorded, in turn, once, by one replica at a time."""

from datetime import timedelta

from chassis.background import Background
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from services.audit.domain.detection.rules import Thresholds
from services.audit.repository import evidence
from services.audit.repository import log as audit_log
from services.audit.service.alarms import Alarms
from services.audit.service.judging import judge
from services.audit.service.metrics import AuditMetrics

_EVERY = timedelta(seconds=1)
_BATCH = 500
log = get_logger(__name__)


class Detector:
    """Follows the evidence that recording keeps.

    Rows are judged by a mark of their own, never by a position: none is passed over, whatever
    order they were committed in. Alerts, events and blocks are committed with the mark.
    """

    def __init__(
        self, database: Database, alarms: Alarms, metrics: AuditMetrics, *, thresholds: Thresholds
    ) -> None:
        self._database = database
        self._alarms = alarms
        self._metrics = metrics
        self._thresholds = thresholds

    async def judge_batch(self) -> int:
        """Judge what waits longest, at most 500; return how many.

        0 also while another replica is at it. Raises DatabaseUnavailable.
        """
        async with self._database.transaction() as tx:
            if not await evidence.claim_detection(tx):
                return 0
            # In turn with erasures: whoever is erased is in no alert written here.
            await audit_log.begin_writing(tx, erasing=False)
            batch = await evidence.list_unjudged(tx, limit=_BATCH)
            if batch:
                findings = await judge(tx, batch, self._thresholds)
                await self._alarms.raise_all(tx, findings)
                await evidence.mark_judged(tx, [one.id for one in batch])
        return len(batch)

    async def measure(self) -> None:
        """Report how long evidence waits. Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            lag = await evidence.measure_lag(tx)
        self._metrics.detector_lag.set(lag.total_seconds())

    async def run(self, background: Background) -> None:
        """Judge until *background* stops."""
        away = False
        while not background.stopping.is_set():
            try:
                await self.measure()
                while await self.judge_batch() >= _BATCH and not background.stopping.is_set():
                    pass
                away = False
            except DatabaseUnavailable:
                if not away:
                    log.warning("evidence.not_judged", reason="database_unavailable")
                away = True
            await background.pause(_EVERY)
