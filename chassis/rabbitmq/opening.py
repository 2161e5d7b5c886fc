"""From settings to the bus, the same way in every process."""

from chassis.bus import platform_queues
from chassis.rabbitmq.rabbitmq_bus import RabbitMQBus
from chassis.settings import ProcessSettings, refused


def open_bus(settings: ProcessSettings, *, name: str) -> RabbitMQBus:
    """Return the bus at RABBITMQ_URL; *name* shows in the broker's list of connections.

    Exits 78 when the variable is not set.
    """
    if settings.rabbitmq_url is None:
        raise refused(["RABBITMQ_URL: is not set"])
    url = settings.rabbitmq_url.get_secret_value()
    return RabbitMQBus(url, name=name, queues=platform_queues())
