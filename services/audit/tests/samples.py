"""Events as the others publish them: one example of every type of the contracts."""

from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin
from uuid import UUID, uuid4

from chassis.clock import SystemClock
from chassis.ids import uuid7
from contracts.envelope import CloudEvent, EventData
from contracts.registry import EVENT_TYPES

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
OCCURRED_AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def event(type_: str, **attributes: Any) -> CloudEvent:
    """Return an event of *type_*; *attributes* replace those of the example."""
    model = EVENT_TYPES[type_]
    given = {"data": data_of(model), **attributes}
    data = data_of(model) | given["data"]
    example: dict[str, Any] = {
        "id": uuid7(SystemClock()),
        "source": type_.partition(".")[0],
        "type": type_,
        "time": OCCURRED_AT,
        "subject": data.get("user_id"),
        "traceparent": TRACEPARENT,
        "ip": "203.0.113.7",
        "useragent": "Firefox",
    }
    return CloudEvent(**(example | given | {"data": data}))


def data_of(model: type[EventData]) -> dict[str, Any]:
    """Return example data of *model*, as JSON has it."""
    values = {name: _value(field.annotation) for name, field in model.model_fields.items()}
    return model.model_validate(values).model_dump(mode="json")


def user_id() -> str:
    """Return the id of somebody new."""
    return str(uuid4())


def _value(annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return ("user",)
    examples = {UUID: uuid4(), datetime: OCCURRED_AT, int: 3, str: "an example", bool: True}
    wanted = [kind for kind in (annotation, *get_args(annotation)) if kind in examples]
    return examples[wanted[0]]
