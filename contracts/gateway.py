"""What the gateway tells others (best effort, no outbox): requests it refused."""

from typing import ClassVar

from contracts.envelope import EventData


class RequestDenied(EventData):
    """Requests of one key were refused for one reason, `count` times within the window."""

    type: ClassVar[str] = "gateway.request.denied.v1"
    reason: str
    route: str
    count: int
    window_seconds: int


EVENTS: tuple[type[EventData], ...] = (RequestDenied,)
