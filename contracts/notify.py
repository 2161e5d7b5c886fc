"""What notify tells others: what became of each mail. Never the address, never the text."""

from typing import ClassVar
from uuid import UUID

from contracts.envelope import EventData


class MessageEvent(EventData):
    """A fact about one mail of the ledger."""

    message_id: UUID
    template: str
    user_id: UUID | None


class MessageSent(MessageEvent):
    """The mail server took the mail over."""

    type: ClassVar[str] = "notify.message.sent.v1"


class MessageFailed(MessageEvent):
    """The mail server refused for good, or every attempt was used up."""

    type: ClassVar[str] = "notify.message.failed.v1"
    reason: str


class MessageSuppressed(MessageEvent):
    """The mail was not sent on purpose (its link had expired, its user was deleted)."""

    type: ClassVar[str] = "notify.message.suppressed.v1"
    reason: str


EVENTS: tuple[type[EventData], ...] = (MessageSent, MessageFailed, MessageSuppressed)
