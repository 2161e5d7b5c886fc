"""The AsyncAPI 3.0 document of the public events."""

import tomllib
from pathlib import Path
from typing import Any

from contracts.envelope import CONTENT_TYPE, EVENTS_EXCHANGE, EventData
from contracts.registry import EVENT_TYPES

ROOT = Path(__file__).resolve().parents[2]

_DESCRIPTION = """Public facts of the platform, as CloudEvents 1.0 in structured mode on one durable
topic exchange. Bind a queue of your own. Delivery is at least once: deduplicate by `id`. No event
carries a password, a token, a hash of either, or a one-time code."""

_TEXT = {"type": "string"}
_ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid"},
        "source": _TEXT,
        "type": _TEXT,
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"type": "string", "format": "uri"},
        "subject": _TEXT,
        "subjectversion": {
            "type": "integer",
            "description": "Orders the events of one subject: a smaller number is old news.",
        },
        "producerseq": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Counts what one source published, without gaps.",
        },
        "traceparent": _TEXT,
        "actor": {"type": "string", "description": "Who did it."},
        "ip": {"type": "string", "description": "From where."},
        "useragent": _TEXT,
        "data": {"type": "object"},
    },
}


def document() -> dict[str, Any]:
    """Return the whole document: a channel, a message and an operation for each type."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    events = dict(sorted(EVENT_TYPES.items()))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Gatehouse events",
            "version": project["version"],
            "description": " ".join(_DESCRIPTION.split()),
            "license": {"name": project["license"]},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {name: _channel(name) for name in events},
        "operations": {f"send.{name}": _operation(name) for name in events},
        "components": {
            "messages": {name: _message(event) for name, event in events.items()},
            "schemas": {
                "envelope": _ENVELOPE,
                **{name: _data(event) for name, event in events.items()},
            },
        },
    }


def _channel(name: str) -> dict[str, Any]:
    exchange = {"name": EVENTS_EXCHANGE, "type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": name,
        "messages": {"event": {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange}},
    }


def _operation(name: str) -> dict[str, Any]:
    channel = f"#/channels/{name}"
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/event"}],
    }


def _message(event: type[EventData]) -> dict[str, Any]:
    narrowed = {
        "properties": {
            "type": {"const": event.type},
            "dataschema": {"const": event.schema_uri()},
            "data": {"$ref": f"#/components/schemas/{event.type}"},
        }
    }
    return {
        "name": event.type,
        "summary": " ".join((event.__doc__ or "").split("\n\n")[0].split()),
        "contentType": CONTENT_TYPE,
        "payload": {"allOf": [{"$ref": "#/components/schemas/envelope"}, narrowed]},
    }


def _data(event: type[EventData]) -> dict[str, Any]:
    """Return the schema of an event's data, its definitions reachable from where it stands."""
    template = f"#/components/schemas/{event.type}/$defs/{{model}}"
    return event.model_json_schema(ref_template=template)
