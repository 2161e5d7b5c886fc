"""From findings to alerts: one row, one event and at most one block per incident and address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from chassis.clock import Clock
from chassis.database import Transaction
from chassis.ids import uuid7
from chassis.logs import get_logger
from chassis.networks import Network
from chassis.outbox import Outbox
from contracts.audit import SuspiciousActivityDetected
from services.audit.domain.detection.alerts import Alert, absorbed
from services.audit.domain.detection.campaigns import EVERYWHERE
from services.audit.domain.detection.findings import CAMPAIGN, Finding
from services.audit.domain.detection.rules import Thresholds
from services.audit.repository import alerts, ip_blocks
from services.audit.service.ip_blocks import IpBlocks
from services.audit.service.metrics import AuditMetrics

_BLOCKS_AT_ONCE = 200
log = get_logger(__name__)


@dataclass(slots=True)
class _Case:
    """An alert as it stands within this transaction, and which new facts it has counted."""

    alert: Alert
    is_new: bool
    counted: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Cause:
    """For which case a network is to be blocked, and when it was last seen at work."""

    case: _Case
    last_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """Opens alerts and lets them grow, within the detector's transaction."""

    outbox: Outbox
    clock: Clock
    blocks: IpBlocks
    thresholds: Thresholds
    metrics: AuditMetrics

    async def raise_all(self, tx: Transaction, findings: Sequence[Finding]) -> None:
        """Give each finding its alert, an old one or a new one."""
        if not findings:
            return
        cases = await self._running(tx, findings)
        touched: dict[UUID, _Case] = {}
        causes: dict[Network, _Cause] = {}
        ordered = sorted(findings, key=lambda one: (not _is_campaign(one), one.last_seen))
        for found in ordered:
            running = (case.alert for case in cases)
            finding = absorbed(found, running, quiet=self.thresholds.quiet)
            case = self._case(cases, finding)
            touched[case.alert.id] = case
            for network in finding.hostile:
                known = causes.get(network)
                if known is None or known.last_seen < finding.last_seen:
                    causes[network] = _Cause(case, finding.last_seen)
        await self._block(tx, causes)
        for case in touched.values():
            await self._store(tx, case)

    async def _running(self, tx: Transaction, findings: Sequence[Finding]) -> list[_Case]:
        incidents = {finding.incident for finding in findings}
        incidents |= {f"{CAMPAIGN}{finding.scope}" for finding in findings if finding.scope}
        incidents.add(f"{CAMPAIGN}{EVERYWHERE}")
        since = min(finding.first_seen for finding in findings) - self.thresholds.quiet
        found = await alerts.list_running(tx, incidents, since=since)
        return [_Case(alert, is_new=False) for alert in found]

    def _case(self, cases: list[_Case], finding: Finding) -> _Case:
        """Return the case *finding* belongs to, grown by it, or a new one."""
        quiet = self.thresholds.quiet
        fitting = [case for case in cases if case.alert.has(finding, quiet=quiet)]
        if fitting:
            case = max(fitting, key=lambda case: case.alert.last_seen)
            fresh = finding.evidence - case.counted
            case.alert = case.alert.grown(finding, attempts=len(fresh))
        else:
            now = self.clock.now()
            case = _Case(Alert.of(finding, alert_id=uuid7(self.clock), raised_at=now), is_new=True)
            cases.append(case)
        case.counted |= finding.evidence
        return case

    async def _block(self, tx: Transaction, causes: Mapping[Network, _Cause]) -> None:
        """Block who is hostile, for what is left of the time since.

        What came too late for a block is only told.
        """
        now, block = self.clock.now(), self.thresholds.block
        left = {
            network: min(block, cause.last_seen + block - now) for network, cause in causes.items()
        }
        due = [network for network in causes if left[network] > timedelta(0)]
        if not due:
            return
        blocked = await ip_blocks.list_blocked(tx, due, now=now)
        for network in [network for network in due if network not in blocked][:_BLOCKS_AT_ONCE]:
            case = causes[network].case
            made = await self.blocks.block_automatically(
                tx, network.network_address, reason=case.alert.rule, duration=left[network]
            )
            case.alert = case.alert.with_blocks(int(made is not None))

    async def _store(self, tx: Transaction, case: _Case) -> None:
        alert = case.alert
        if not case.is_new:
            await alerts.grow(tx, alert)
            return
        await alerts.add(tx, alert)
        await self._tell(tx, alert)
        tx.after_commit(lambda: self._count(alert))

    async def _tell(self, tx: Transaction, alert: Alert) -> None:
        fact = SuspiciousActivityDetected(
            alert_id=alert.id,
            rule=alert.rule,
            user_id=alert.user_id,
            address=_shown(alert),
            severity=alert.severity,
            attempts=alert.attempts,
            accounts=alert.accounts,
            addresses=alert.address_count,
        )
        await self.outbox.emit(tx, fact, subject=str(alert.user_id or alert.id), caller=None)

    def _count(self, alert: Alert) -> None:
        self.metrics.alerts.labels(alert.rule.value).inc()
        log.warning(
            "alert.raised",
            alert_id=str(alert.id),
            rule=alert.rule.value,
            severity=alert.severity,
            attempts=alert.attempts,
            accounts=alert.accounts,
            addresses=alert.address_count,
            blocked=alert.blocked,
        )


def _is_campaign(finding: Finding) -> bool:
    return finding.incident.startswith(CAMPAIGN)


def _shown(alert: Alert) -> str | None:
    """Return the cause as people write it: a single address without its prefix."""
    if alert.address is None:
        return None
    network = alert.address
    is_single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if is_single else str(network)
