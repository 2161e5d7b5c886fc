"""The real servers between the processes of shape two."""

import secrets
from collections.abc import Iterator

import pytest

from chassis.testing.servers import PostgresServer, RabbitMQServer, RedisServer
from tests.platforms.five import Parts


@pytest.fixture(scope="session")
def parts(
    postgres: PostgresServer, rabbitmq: RabbitMQServer, redis: RedisServer
) -> Iterator[Parts]:
    """Hand out private PostgreSQL, Redis and RabbitMQ, with a virtual host of our own."""
    vhost = f"gatehouse_test_{secrets.token_hex(4)}"
    url = rabbitmq.create_vhost(vhost)
    yield Parts(postgres_admin_url=postgres.admin_url, rabbitmq_url=url, redis_url=redis.url)
    rabbitmq.delete_vhost(vhost)
