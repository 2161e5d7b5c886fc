"""What a test needs to know of a running platform, whatever its shape."""

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.platforms.browser import Browser
from tests.platforms.clients import OAuthClient
from tests.platforms.mailbox import Mailbox
from tests.platforms.person import Person
from tests.platforms.process import PlatformProcess

ADMIN = "root-admin"
START_SECONDS = 60


class Platform(ABC):
    """A running Gatehouse."""

    shape: str

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.admin_password = f"Adm1n-{secrets.token_urlsafe(12)}!"
        clients_file = folder / "oauth-clients.toml"
        self.oauth_client = OAuthClient.registered(clients_file)
        self.routes_file = folder / "routes.toml"
        self.routes_file.write_text("")
        self.settings = {
            "ROUTES_FILE": str(self.routes_file),
            "OAUTH_CLIENTS_FILE": str(clients_file),
            "TRUSTED_PROXIES": "127.0.0.1/32",
            "BOOTSTRAP_ADMIN_EMAIL": f"{ADMIN}@example.com",
            "BOOTSTRAP_ADMIN_PASSWORD": self.admin_password,
            "BOOTSTRAP_ADMIN_USERNAME": ADMIN,
            **(settings or {}),
        }

    @property
    @abstractmethod
    def base_url(self) -> str:
        """Return the gateway's address."""

    @property
    def origin(self) -> str:
        """Return the origin of PUBLIC_BASE_URL: that of its own pages."""
        return self.base_url

    @property
    @abstractmethod
    def mailbox(self) -> Mailbox:
        """Return where its mails arrive."""

    @property
    @abstractmethod
    def keys(self) -> frozenset[str]:
        """Return every key and password its processes were given or have made, but people's."""

    @abstractmethod
    def start(self) -> None:
        """Start everything and return once it is ready."""

    @abstractmethod
    def stop(self) -> None:
        """Stop everything in good order."""

    @property
    @abstractmethod
    def gateway_log(self) -> Path:
        """Return what the gateway's process writes."""

    @abstractmethod
    def hang_up(self) -> None:
        """Send SIGHUP to every process of it."""

    def person(self, name: str | None = None) -> Person:
        """Return somebody new at the gateway."""
        return Person(self.base_url, self.mailbox, name=name)

    def browser(self, person: Person) -> Browser:
        """Return a new browser for *person*."""
        return Browser(self.base_url, self.origin, person)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Person]:
        """Give the bootstrap administrator, logged in."""
        async with self.person(ADMIN) as person:
            person.password = self.admin_password
            response = await person.login()
            assert response.is_success, response.text
            yield person


def wait_until_ready(
    probe: Callable[[httpx.Client], bool], processes: list[PlatformProcess]
) -> None:
    """Poll *probe* until it holds; fail at once when a process has died."""
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=2) as client:
        while time.monotonic() < deadline:
            for process in processes:
                assert process.running, f"{process.module} died:\n{process.tail()}"
            try:
                if probe(client):
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
    tails = "\n".join(f"--- {process.module}\n{process.tail()}" for process in processes)
    raise AssertionError(f"not ready within {START_SECONDS} s\n{tails}")
