"""RabbitMQ for tests: a given broker, a private node of an installed one, or Docker."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from chassis.testing.servers.rabbitmq_given import URL_VARIABLE, GivenRabbitMQ
from chassis.testing.servers.rabbitmq_node import DockerRabbitMQ, PrivateRabbitMQ
from chassis.testing.servers.sources import (
    Say,
    ServerMissingError,
    apt_install,
    can_apt_install,
    docker_answers,
)


class RabbitMQServer(Protocol):
    """A running broker that tests may make virtual hosts in."""

    def launch(self) -> None:
        """Begin to start, without waiting."""
        ...

    def wait_ready(self) -> None:
        """Wait until it speaks AMQP. Raises ServerMissingError."""
        ...

    def stop(self) -> None:
        """Stop it and remove its data, if it is ours."""
        ...

    def kill(self) -> None:
        """Kill it as a crash would (see settle). Raises ForeignServerError."""
        ...

    def restart(self) -> None:
        """Start it again on the same port, with its data. Raises ForeignServerError."""
        ...

    def settle(self) -> None:
        """Write to disk what was declared a moment ago.

        A node killed within seconds of declaring a quorum queue may leave that queue without a
        leader for good: settle before you kill. Raises ForeignServerError.
        """
        ...

    def create_vhost(self, name: str) -> str:
        """Make a virtual host named `gatehouse_test_*` and return its URL (`amqp://…`)."""
        ...

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host named `gatehouse_test_*`."""
        ...


def offer_rabbitmq(*, say: Say) -> Callable[[], RabbitMQServer]:
    """Return what makes a broker here. Raises ServerMissingError."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        return lambda: GivenRabbitMQ(given)
    scripts = find_scripts()
    if scripts is None and docker_answers():
        return DockerRabbitMQ
    if scripts is None and can_apt_install():
        apt_install("rabbitmq-server", say=say)
        scripts = find_scripts()
    if scripts is None:
        raise ServerMissingError(
            "the tests need RabbitMQ: install rabbitmq-server (apt-get, brew), or start Docker, or"
            f" set {URL_VARIABLE}"
        )
    return lambda: PrivateRabbitMQ(scripts)


def find_scripts() -> Path | None:
    """Return the folder of RabbitMQ's own scripts, or None when it or Erlang is missing."""
    if shutil.which("erl") is None or shutil.which("epmd") is None:
        return None
    return next((folder for folder in _candidates() if (folder / "rabbitmqctl").is_file()), None)


def _candidates() -> Iterator[Path]:
    # Debian's /usr/sbin/rabbitmq-server is a wrapper that changes the user: never that one.
    yield from sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"), reverse=True)
    on_path = shutil.which("rabbitmq-server")
    if on_path is not None:
        yield from (Path(on_path).resolve().parent,)
