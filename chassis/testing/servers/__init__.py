"""Private PostgreSQL, Redis and RabbitMQ servers for a test run, on free ports, gone afterwards.

Each server is looked for in one order: a URL in the environment, programs on this machine, the
wheels, Docker, `apt-get install` as root on Debian; else ServerMissingError says what to install.
Nothing is skipped, and no process that we did not start is touched.
"""

from chassis.testing.servers.postgres import PostgresOffer, PostgresServer, available_postgres
from chassis.testing.servers.rabbitmq import RabbitMQServer, offer_rabbitmq
from chassis.testing.servers.redis import RedisServer, offer_redis
from chassis.testing.servers.run import Servers
from chassis.testing.servers.sources import ForeignServerError, ServerMissingError

__all__ = [
    "ForeignServerError",
    "PostgresOffer",
    "PostgresServer",
    "RabbitMQServer",
    "RedisServer",
    "ServerMissingError",
    "Servers",
    "available_postgres",
    "offer_rabbitmq",
    "offer_redis",
]
