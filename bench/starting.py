"""Platforms to measure: five processes on servers of their own, the database durable as in use."""

import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis.postgres import PrivatePostgres
from chassis.testing.servers import Servers
from tests.platforms.crowd import NO_LIMITS
from tests.platforms.five import FiveProcesses, Parts
from tests.platforms.platform import Platform
from tests.platforms.process import ROOT
from tests.platforms.single import SingleProcess


@dataclass(frozen=True)
class Ground:
    """What the platforms stand on, and where their files go."""

    folder: Path
    postgres: PrivatePostgres
    parts: Parts


@contextmanager
def ground() -> Iterator[Ground]:
    """Start PostgreSQL (every commit on disk), RabbitMQ and Redis; stop them whatever happens."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatehouse-bench-")))
        servers = Servers(say=print)
        stack.callback(servers.close)
        servers.launch_rabbitmq()
        postgres = PrivatePostgres(
            folder / "postgres",
            password=secrets.token_urlsafe(16),
            settings={"max_connections": "300"},
        )
        stack.callback(postgres.stop)
        postgres.start()
        parts = Parts(postgres.admin_url, servers.rabbitmq(), servers.redis().url)
        yield Ground(folder, postgres, parts)


@contextmanager
def five_processes(
    standing: Ground,
    settings: Mapping[str, str] | None = None,
    *,
    roots: Sequence[Path] = (ROOT,),
    folder: str = "platforms",
    modules: Mapping[str, str] | None = None,
) -> Iterator[list[FiveProcesses]]:
    """Start the five processes of each working tree, without limits anybody would meet.

    Their files go to *folder*, an own one for each call; *modules* is run instead of services.
    """
    with ExitStack() as stack:
        platforms = []
        for number, root in enumerate(roots):
            own = standing.folder / folder / str(number)
            own.mkdir(parents=True)
            platform = FiveProcesses(
                own,
                standing.parts,
                {**NO_LIMITS, **(settings or {})},
                root=root.resolve(),
                modules=modules,
            )
            stack.enter_context(running(platform))
            platforms.append(platform)
        yield platforms


@contextmanager
def one_process(settings: Mapping[str, str] | None = None) -> Iterator[SingleProcess]:
    """Start everything in one process, without limits anybody would meet."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
        single = SingleProcess(Path(name), {**NO_LIMITS, **(settings or {})})
        with running(single):
            yield single


@contextmanager
def running(platform: Platform) -> Iterator[None]:
    """Start it, and stop it whatever happens."""
    try:
        platform.start()
        yield
    finally:
        platform.stop()
