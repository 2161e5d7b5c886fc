"""What audit is told by its environment."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from chassis.settings import Networks, ServiceSettings
from services.audit.domain.detection.rules import Thresholds


class AuditSettings(ServiceSettings):
    """Settings of the audit service.

    A changed `audit_partition` applies from the end of the last partition already made.
    `trusted_proxies` and `ip_allowlist` are never blocked automatically. `detect_*` say from when
    on a pattern is an attack, `detect_block_minutes=0` that none is answered by a block.
    """

    port: int = Field(default=8104, ge=0, le=65535)
    ops_port: int = Field(default=9104, ge=0, le=65535)
    audit_partition: Literal["month", "day"] = "month"
    audit_retention_days: int = Field(default=90, ge=1, le=3650)
    trusted_proxies: Networks = ()
    ip_allowlist: Networks = ()

    detect_window_minutes: int = Field(default=60, ge=4, le=24 * 60)
    detect_spraying_accounts: int = Field(default=15, ge=2, le=10_000)
    detect_stuffing_attempts: int = Field(default=40, ge=2, le=100_000)
    detect_stuffing_addresses: int = Field(default=10, ge=2, le=1000)
    detect_guessing_addresses: int = Field(default=10, ge=2, le=10_000)
    detect_success_failures: int = Field(default=10, ge=1, le=10_000)
    detect_success_window_minutes: int = Field(default=360, ge=1, le=24 * 60)
    detect_quiet_minutes: int = Field(default=60, ge=1, le=7 * 24 * 60)
    detect_block_minutes: int = Field(default=60, ge=0, le=30 * 24 * 60)
    alert_retention_days: int = Field(default=365, ge=1, le=3650)

    @property
    def thresholds(self) -> Thresholds:
        """Return from when on a pattern is an attack."""
        return Thresholds(
            window=timedelta(minutes=self.detect_window_minutes),
            spraying_accounts=self.detect_spraying_accounts,
            stuffing_attempts=self.detect_stuffing_attempts,
            stuffing_addresses=self.detect_stuffing_addresses,
            guessing_addresses=self.detect_guessing_addresses,
            success_failures=self.detect_success_failures,
            success_window=timedelta(minutes=self.detect_success_window_minutes),
            quiet=timedelta(minutes=self.detect_quiet_minutes),
            block=timedelta(minutes=self.detect_block_minutes),
        )

    @property
    def evidence_life(self) -> timedelta:
        """Return the longest time any rule looks back."""
        return max(self.thresholds.window, self.thresholds.success_window)
