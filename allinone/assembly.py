"""The five deployables of one process: the same code as in production, wired to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gateway.app
import services.audit.app
import services.identity.app
import services.notify.app
import services.token.app
from allinone.databases import SERVICES, ServiceDatabase
from allinone.datadir import DataDir
from allinone.settings import AllInOneSettings
from chassis.app import Deployable
from chassis.inprocess import InProcessBus
from chassis.processes import free_port
from chassis.settings import find_complaints, load
from gateway.settings import GatewaySettings
from services.audit.settings import AuditSettings
from services.identity.settings import IdentitySettings
from services.notify.settings import NotifySettings
from services.token.settings import TokenSettings

_POOL_MAX = 5


@dataclass(frozen=True)
class Wiring:
    """What the parts must know of each other: ports, secrets per edge, databases."""

    settings: AllInOneSettings
    data_dir: DataDir
    databases: Mapping[str, ServiceDatabase]
    ports: Mapping[str, int]

    def url(self, service: str) -> str:
        """Return where *service* listens."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def edge(self, issuer: str, audience: str) -> str:
        """Return the secret by which *issuer* proves itself to *audience* (D13)."""
        return self.data_dir.secret(f"assertion_{issuer}_{audience}")

    def process(self, name: str) -> dict[str, Any]:
        """Return what every deployable is told."""
        return {
            "environment": "development",
            "log_level": self.settings.log_level,
            "log_format": self.settings.log_format,
            "host": "127.0.0.1",
            "port": self.ports[name],
            "ops_host": "127.0.0.1",
            "ops_port": 0,
            "public_base_url": self.settings.base_url,
            "rabbitmq_url": None,
            "redis_url": None,
        }

    def service(self, name: str) -> dict[str, Any]:
        """Return what every service is told."""
        return self.process(name) | {
            "database_url": self.databases[name].app_url,
            "database_pool_min": 1,
            "database_pool_max": _POOL_MAX,
            "assertion_secrets_from_gateway": self.edge("gateway", name),
        }


def wire(
    settings: AllInOneSettings, data_dir: DataDir, databases: Mapping[str, ServiceDatabase]
) -> Wiring:
    """Choose a free port for every service; the gateway has the one that people know."""
    ports = {name: free_port() for name in SERVICES}
    return Wiring(settings, data_dir, databases, ports | {"gateway": settings.port})


def find_all_complaints(settings: AllInOneSettings, data_dir: DataDir) -> list[str]:
    """Return what is wrong with any setting of any deployable, before anything is started."""
    nowhere = ServiceDatabase("postgresql+asyncpg://nowhere/x", "postgresql+asyncpg://nowhere/x")
    wiring = wire(settings, data_dir, dict.fromkeys(SERVICES, nowhere))
    told = [
        *find_complaints(TokenSettings, _token(wiring)),
        *find_complaints(IdentitySettings, _identity(wiring)),
        *find_complaints(NotifySettings, _notify(wiring)),
        *find_complaints(AuditSettings, _audit(wiring)),
        *find_complaints(GatewaySettings, _gateway(wiring)),
    ]
    # A setting that several deployables read is complained of once.
    return list(dict.fromkeys(told))


def build(wiring: Wiring, bus: InProcessBus) -> list[Deployable]:
    """Build the five over *bus*; the gateway comes last, so that it starts last and stops first.

    Settings that no one here decides come from the environment; complaints exit 78.
    """
    return [
        services.token.app.build(load(TokenSettings, **_token(wiring)), bus=bus),
        services.identity.app.build(load(IdentitySettings, **_identity(wiring)), bus=bus),
        services.notify.app.build(load(NotifySettings, **_notify(wiring)), bus=bus),
        services.audit.app.build(load(AuditSettings, **_audit(wiring)), bus=bus),
        gateway.app.build(load(GatewaySettings, **_gateway(wiring)), bus=bus),
    ]


def _identity(wiring: Wiring) -> dict[str, Any]:
    return wiring.service("identity") | {
        "token_url": wiring.url("token"),
        "assertion_secrets_from_token": wiring.edge("token", "identity"),
        "assertion_secrets_to_token": wiring.edge("identity", "token"),
        "identity_key": wiring.data_dir.secret("identity_key"),
        "mail_secrets_keys": wiring.data_dir.secret("mail_secrets_key"),
        "bootstrap_admin_must_change": False,
    }


def _token(wiring: Wiring) -> dict[str, Any]:
    return wiring.service("token") | {
        "issuer": wiring.settings.base_url,
        "identity_url": wiring.url("identity"),
        "assertion_secrets_from_identity": wiring.edge("identity", "token"),
        "assertion_secrets_to_identity": wiring.edge("token", "identity"),
        "signing_key_encryption_keys": wiring.data_dir.secret("signing_key_encryption_key"),
    }


def _notify(wiring: Wiring) -> dict[str, Any]:
    return wiring.service("notify") | {
        "mail_transport": "inbox",
        "mail_from": "Gatehouse <gatehouse@localhost.localdomain>",
        "mail_secrets_keys": wiring.data_dir.secret("mail_secrets_key"),
    }


def _audit(wiring: Wiring) -> dict[str, Any]:
    return wiring.service("audit") | {
        "archive_url": (wiring.data_dir.path / "archive").as_uri(),
        "archive_signing_keys": wiring.data_dir.secret("archive_signing_key"),
        "archive_key_encryption_keys": wiring.data_dir.secret("archive_key_encryption_key"),
    }


def _gateway(wiring: Wiring) -> dict[str, Any]:
    edges = {f"assertion_secrets_to_{name}": wiring.edge("gateway", name) for name in SERVICES}
    urls = {f"{name}_url": wiring.url(name) for name in SERVICES}
    own = {
        "host": wiring.settings.host,
        "dev_inbox": True,
        "gateway_workers": 1,  # this process is all there is
        "state_dir": wiring.data_dir.path / "gateway",
        "csrf_keys": wiring.data_dir.secret("csrf_key"),
    }
    return wiring.process("gateway") | edges | urls | own
