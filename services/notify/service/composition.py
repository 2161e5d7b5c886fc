"""From a row of the ledger to a finished mail: the only place where a token is readable."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.crypto import SealBrokenError, unseal
from services.notify.domain.contents import (
    InvalidAddressError,
    greeted_name,
    header_id,
    mailbox,
    token_link,
)
from services.notify.domain.messages import Message, Reason
from services.notify.rendering import Renderer
from services.notify.transports import Mail, Originator, PermanentFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What all mails of an installation share: their sender and where their links lead."""

    sender: Originator
    base_url: str


class Composer:
    """Writes mails; *keys* open the sealed tokens."""

    def __init__(
        self,
        *,
        renderer: Renderer,
        letterhead: Letterhead,
        keys: Sequence[bytes],
        clock: Clock,
    ) -> None:
        self._renderer = renderer
        self._letterhead = letterhead
        self._keys = keys
        self._clock = clock

    def compose(self, message: Message) -> Mail:
        """Write the mail of *message*.

        Raises PermanentFailure when its address is none or its secret cannot be opened.
        """
        values = {**message.facts, "name": greeted_name(message.recipient_name)}
        if message.sealed_token is not None:
            token = self._open(message, message.sealed_token)
            values["link"] = token_link(self._letterhead.base_url, message.template, token)
            values["expires_at"] = message.expires_at
        rendered = self._renderer.render(message.template, values)
        sender = self._letterhead.sender
        return Mail(
            id=message.id,
            message_id=header_id(message.id, sender.address),
            sender=sender,
            recipient=_recipient(message),
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            date=self._clock.now(),
        )

    def _open(self, message: Message, box: str) -> str:
        try:
            return unseal(self._keys, box, context=message.seal_context).decode("ascii")
        except (SealBrokenError, UnicodeDecodeError):
            raise PermanentFailure(Reason.SECRET_UNREADABLE) from None


def _recipient(message: Message) -> str:
    try:
        return mailbox(message.recipient or "")
    except InvalidAddressError:
        raise PermanentFailure(Reason.ADDRESS_INVALID) from None
