"""What became of a mail, told through the outbox."""

from chassis.caller import Caller
from chassis.database import Transaction
from chassis.outbox import Outbox
from contracts.notify import MessageEvent, MessageFailed, MessageSent, MessageSuppressed
from services.notify.domain.messages import Message, State, Verdict

_UNKNOWN = "unknown"


async def announce(outbox: Outbox, tx: Transaction, message: Message, verdict: Verdict) -> None:
    """Tell what *verdict* made of *message*; nothing while it is waiting."""
    event = _event(message, verdict)
    if event is None:
        return
    caller = Caller(issuer="notify", request_id=str(message.id), traceparent=message.traceparent)
    await outbox.emit(tx, event, subject=str(message.id), caller=caller, actor=message.actor)


def _event(message: Message, verdict: Verdict) -> MessageEvent | None:
    template, user_id, reason = str(message.template), message.user_id, verdict.reason or _UNKNOWN
    if verdict.state is State.SENT:
        return MessageSent(message_id=message.id, template=template, user_id=user_id)
    if verdict.state is State.FAILED:
        return MessageFailed(
            message_id=message.id, template=template, user_id=user_id, reason=reason
        )
    if verdict.state is State.SUPPRESSED:
        return MessageSuppressed(
            message_id=message.id, template=template, user_id=user_id, reason=reason
        )
    return None
