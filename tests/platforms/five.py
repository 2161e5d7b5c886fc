"""Shape two: five processes with PostgreSQL, RabbitMQ, Redis and SMTP between them."""

import asyncio
import re
import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from chassis.crypto import b64encode
from chassis.processes import free_port
from chassis.provisioning import Role, database_url, drop_test_database, provision
from chassis.testing.servers import RabbitMQServer
from tests.platforms.mailbox import Mailbox, SmtpSink
from tests.platforms.platform import Platform, wait_until_ready
from tests.platforms.process import ROOT, PlatformProcess

SERVICES = ("identity", "token", "notify", "audit")
EDGES = (
    ("gateway", "identity"),
    ("gateway", "token"),
    ("gateway", "notify"),
    ("gateway", "audit"),
    ("token", "identity"),
    ("identity", "token"),
)
_KEY = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])")


@dataclass(frozen=True)
class Parts:
    """The real servers between the processes: private instances."""

    postgres_admin_url: str
    rabbitmq: RabbitMQServer
    redis_url: str


class FiveProcesses(Platform):
    """The five deployables, each a process of its own, run from the working tree at *root*.

    *modules* names what is run instead of a service's own module: of this tree, whatever *root*.
    """

    shape = "five processes"

    def __init__(
        self,
        folder: Path,
        parts: Parts,
        settings: Mapping[str, str] | None = None,
        *,
        root: Path = ROOT,
        modules: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, settings)
        self._parts = parts
        self._root = root
        self._modules = modules or {}
        self._run = secrets.token_hex(4)
        self._vhost = f"gatehouse_test_{self._run}"
        self.rabbitmq_url = ""
        self._ports = {name: free_port() for name in ("gateway", *SERVICES)}
        self._ops = {name: free_port() for name in ("gateway", *SERVICES)}
        self._roles: list[str] = []
        self.sink = SmtpSink()
        self._secrets = {edge: _key() for edge in EDGES}
        self._mail_key = _key()
        self.processes: dict[str, PlatformProcess] = {}

    @property
    def base_url(self) -> str:
        """Return the gateway's address."""
        return f"http://127.0.0.1:{self._ports['gateway']}"

    @property
    def mailbox(self) -> Mailbox:
        """Return the SMTP sink."""
        return self.sink

    @property
    def keys(self) -> frozenset[str]:
        """Return what stands in the environment of its processes: keys, and roles' passwords."""
        environments = [process.environment for process in self.processes.values()]
        return frozenset(
            found for one in environments for value in one.values() for found in _KEY.findall(value)
        )

    def ops_url(self, name: str) -> str:
        """Return the ops port of one process."""
        return f"http://127.0.0.1:{self._ops[name]}"

    def database(self, name: str) -> str:
        """Return the name of a service's database."""
        return f"gatehouse_test_{self._run}_{name}"

    def start(self) -> None:
        """Make and migrate the databases, start the processes, wait for their readiness.

        When one of them cannot start, none is left running.
        """
        self.sink.start()
        try:
            self._start()
        except BaseException:
            for process in self.processes.values():
                process.kill()
            self.sink.stop()
            raise

    def _start(self) -> None:
        # A virtual host of its own: another platform's consumers must not take its messages.
        self.rabbitmq_url = self._parts.rabbitmq.create_vhost(self._vhost)
        for name in SERVICES:
            environment = self._service_environment(name)
            log = self.folder / f"{name}.log"
            module = self._modules.get(name, f"services.{name}")
            root = ROOT if name in self._modules else self._root
            PlatformProcess(f"{module} migrate", environment, log, root=root).run()
            self.processes[name] = PlatformProcess(module, environment, log, root=root)
        self.processes["gateway"] = PlatformProcess(
            "gateway", self._gateway_environment(), self.folder / "gateway.log", root=self._root
        )
        for process in self.processes.values():
            process.start()
        self.wait_until_ready()

    def wait_until_ready(self, *names: str) -> None:
        """Wait until the named processes (all, when none is named) say they are ready."""
        for name in names or tuple(self.processes):
            ready = partial(_is_ready, f"{self.ops_url(name)}/health/ready")
            wait_until_ready(ready, [self.processes[name]])

    @property
    def gateway_log(self) -> Path:
        """Return the gateway's own log."""
        return self.processes["gateway"].log

    def hang_up(self) -> None:
        """Send SIGHUP to all five."""
        for process in self.processes.values():
            process.send(signal.SIGHUP)

    def stop(self) -> None:
        """Stop the gateway first, then the rest; drop what was made."""
        codes = {name: self.processes[name].stop() for name in reversed(self.processes)}
        self.sink.stop()
        asyncio.run(self._drop())
        self._parts.rabbitmq.delete_vhost(self._vhost)
        bad = {name: self.processes[name].tail() for name, code in codes.items() if code != 0}
        assert not bad, bad

    async def _drop(self) -> None:
        for name in SERVICES:
            database = self.database(name)
            roles = [f"{database}_owner", f"{database}_app"]
            await drop_test_database(self._parts.postgres_admin_url, database=database, roles=roles)

    def _service_environment(self, name: str) -> dict[str, str]:
        database = self.database(name)
        owner, app = Role(f"{database}_owner", _key()), Role(f"{database}_app", _key())
        admin_url = self._parts.postgres_admin_url
        asyncio.run(provision(admin_url, database=database, owner=owner, app=app))
        return {
            **self._common(name),
            **self._own(name),
            "DATABASE_URL": database_url(admin_url, database=database, role=app),
            "DATABASE_OWNER_URL": database_url(admin_url, database=database, role=owner),
            "DATABASE_POOL_MAX": "10",
        }

    def _gateway_environment(self) -> dict[str, str]:
        urls = {f"{name.upper()}_URL": self._url(name) for name in SERVICES}
        own = {"REDIS_URL": self._parts.redis_url, "CSRF_KEYS": _key()}
        return {**self._common("gateway"), **urls, **own}

    def _common(self, name: str) -> dict[str, str]:
        edges: dict[str, str] = {}
        for (issuer, audience), secret in self._secrets.items():
            if audience == name:
                edges[f"ASSERTION_SECRETS_FROM_{issuer.upper()}"] = secret
            if issuer == name:
                edges[f"ASSERTION_SECRETS_TO_{audience.upper()}"] = secret
        return {
            **self.settings,
            **edges,
            "ENVIRONMENT": "development",
            "LOG_FORMAT": "json",
            "PORT": str(self._ports[name]),
            "OPS_PORT": str(self._ops[name]),
            "PUBLIC_BASE_URL": self.base_url,
            "RABBITMQ_URL": self.rabbitmq_url,
        }

    def _own(self, name: str) -> dict[str, str]:
        own: dict[str, dict[str, str]] = {
            "identity": {
                "TOKEN_URL": self._url("token"),
                "IDENTITY_KEY": _key(),
                "MAIL_SECRETS_KEYS": self._mail_key,
                "BOOTSTRAP_ADMIN_MUST_CHANGE": "false",
            },
            "token": {
                "IDENTITY_URL": self._url("identity"),
                "ISSUER": self.base_url,
                "SIGNING_KEY_ENCRYPTION_KEYS": _key(),
                "REDIS_URL": self._parts.redis_url,
            },
            "notify": {
                "MAIL_TRANSPORT": "smtp",
                "SMTP_HOST": "127.0.0.1",
                "SMTP_PORT": str(self.sink.port),
                "SMTP_SECURITY": "none",
                "MAIL_FROM": "Gatehouse <no-reply@example.com>",
                "MAIL_SECRETS_KEYS": self._mail_key,
            },
            "audit": {
                "ARCHIVE_URL": (self.folder / "archive").as_uri(),
                "ARCHIVE_SIGNING_KEYS": _key(),
                "ARCHIVE_KEY_ENCRYPTION_KEYS": _key(),
            },
        }
        return own[name]

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"


def _is_ready(url: str, client: httpx.Client) -> bool:
    return client.get(url).is_success


def _key() -> str:
    return b64encode(secrets.token_bytes(32))
