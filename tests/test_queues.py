"""The published queues are the ones that the consumers read."""

from typing import cast

from chassis.bus import Binding, QueueSpec, platform_queues
from contracts.envelope import COMMANDS_EXCHANGE
from contracts.registry import COMMAND_TYPES, EVENT_TYPES
from services.audit import consumers as audit
from services.notify import consumers as notify
from services.token import consumers as token
from services.token.service.subject_changes import SubjectChanges


def _as_table(queues: tuple[QueueSpec, ...]) -> dict[str, frozenset[Binding]]:
    return {queue.name: frozenset(queue.bindings) for queue in queues}


def test_every_consumers_queue_is_published_as_it_is() -> None:
    """Producers declare exactly what consumers will read."""
    # The handlers are never called: only the table of types is read.
    unused = cast("SubjectChanges", None)
    of_token = QueueSpec(
        token.QUEUE, tuple(subscription.binding for subscription in token.subscriptions(unused))
    )
    consumed = (audit.QUEUE, of_token, *notify.queues())
    assert _as_table(platform_queues()) == _as_table(consumed)


def test_every_binding_names_a_type_that_exists() -> None:
    """No queue waits for what nobody publishes."""
    for queue in platform_queues():
        for binding in queue.bindings:
            known = COMMAND_TYPES if binding.exchange == COMMANDS_EXCHANGE else EVENT_TYPES
            assert binding.routing_key == "#" or binding.routing_key in known
