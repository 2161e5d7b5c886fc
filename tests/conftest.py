"""The real servers between the processes of shape two."""

import pytest

from chassis.testing.servers import PostgresServer, RabbitMQServer, RedisServer
from tests.platforms.five import Parts


@pytest.fixture(scope="session")
def parts(postgres: PostgresServer, rabbitmq: RabbitMQServer, redis: RedisServer) -> Parts:
    """Hand out private PostgreSQL, RabbitMQ and Redis."""
    return Parts(postgres_admin_url=postgres.admin_url, rabbitmq=rabbitmq, redis_url=redis.url)
