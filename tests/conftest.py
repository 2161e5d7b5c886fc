"""The real servers between the processes of shape two."""

import pytest
from yarl import URL

from chassis.testing.servers import PostgresServer, RabbitMQServer, RedisServer
from tests.platforms.five import Parts


@pytest.fixture(scope="session")
def parts(postgres: PostgresServer, rabbitmq: RabbitMQServer, redis: RedisServer) -> Parts:
    """Hand out private PostgreSQL, RabbitMQ and Redis.

    A platform outlives many tests, and its token service repairs what is missing in Redis: it has a
    logical database of its own, so that it does not work in those of the tests of one service.
    """
    return Parts(
        postgres_admin_url=postgres.admin_url,
        rabbitmq=rabbitmq,
        redis_url=str(URL(redis.url).with_path("/1")),
    )
