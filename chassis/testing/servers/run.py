"""All servers of one test run: started on first use, stopped at its end whatever happens."""

import asyncio
import atexit
import contextlib

import asyncpg

from chassis.testing.databases import Databases
from chassis.testing.servers.postgres import PostgresOffer, PostgresServer, available_postgres
from chassis.testing.servers.rabbitmq import RabbitMQServer, offer_rabbitmq
from chassis.testing.servers.redis import RedisServer, offer_redis
from chassis.testing.servers.sources import Say


class Servers:
    """The servers of a run. *say* takes a line of progress.

    Use it from the main thread: what it starts dies with the thread that started it.
    """

    def __init__(self, *, say: Say) -> None:
        self._say = say
        self._offers: list[PostgresOffer] | None = None
        self._postgres: dict[str, PostgresServer] = {}
        self._databases: dict[str, Databases] = {}
        self._redis: RedisServer | None = None
        self._rabbitmq: RabbitMQServer | None = None
        atexit.register(self.close)

    def postgres_offers(self) -> list[PostgresOffer]:
        """Return the PostgreSQL versions to be had here. Raises ServerMissingError."""
        if self._offers is None:
            self._offers = available_postgres()
        return self._offers

    def postgres(self, offer: PostgresOffer | None = None) -> PostgresServer:
        """Return the running server of *offer*, or of the preferred version."""
        offer = offer or self.postgres_offers()[0]
        if offer.version not in self._postgres:
            server = offer.make()
            self._postgres[offer.version] = server
            server.start()
        return self._postgres[offer.version]

    def databases(self, server: PostgresServer) -> Databases:
        """Return what makes test databases in *server*."""
        return self._databases.setdefault(server.admin_url, Databases(server.admin_url))

    def redis(self) -> RedisServer:
        """Return the running Redis."""
        if self._redis is None:
            self._redis = offer_redis(say=self._say)()
            self._redis.start()
        return self._redis

    def launch_rabbitmq(self) -> None:
        """Begin to start RabbitMQ while something else goes on."""
        if self._rabbitmq is None:
            self._rabbitmq = offer_rabbitmq(say=self._say)()
            self._rabbitmq.launch()

    def rabbitmq(self) -> RabbitMQServer:
        """Return the running RabbitMQ; the first call may take 20 s."""
        self.launch_rabbitmq()
        assert self._rabbitmq is not None  # noqa: S101 - just launched
        self._rabbitmq.wait_ready()
        return self._rabbitmq

    def close(self) -> None:
        """Drop what was made in the servers, and stop those that are ours."""
        for databases in self._databases.values():
            # A server a test has killed takes its databases with it.
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                asyncio.run(databases.close())
        self._databases.clear()
        for server in (*self._postgres.values(), self._redis, self._rabbitmq):
            if server is not None:
                server.stop()
        self._postgres.clear()
        self._redis = self._rabbitmq = None
        atexit.unregister(self.close)
