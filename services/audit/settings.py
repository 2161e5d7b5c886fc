"""What audit is told by its environment."""

from typing import Literal

from pydantic import Field

from chassis.settings import Networks, ServiceSettings


class AuditSettings(ServiceSettings):
    """Settings of the audit service.

    A changed `audit_partition` applies from the end of the last partition already made.
    `trusted_proxies` and `ip_allowlist` are never blocked automatically.
    """

    port: int = Field(default=8104, ge=0, le=65535)
    ops_port: int = Field(default=9104, ge=0, le=65535)
    audit_partition: Literal["month", "day"] = "month"
    audit_retention_days: int = Field(default=90, ge=1, le=3650)
    trusted_proxies: Networks = ()
    ip_allowlist: Networks = ()
