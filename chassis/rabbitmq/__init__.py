"""The event bus between processes: RabbitMQ by aio-pika.

Owns connections, topology and confirms. What it promises stands in `chassis.bus`.
"""

from chassis.rabbitmq.opening import open_bus
from chassis.rabbitmq.rabbitmq_bus import RabbitMQBus

__all__ = ["RabbitMQBus", "open_bus"]
