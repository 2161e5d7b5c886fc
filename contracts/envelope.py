"""The CloudEvents 1.0 envelope every event travels in (structured JSON mode)."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json"
DATA_CONTENT_TYPE = "application/json"

EVENTS_EXCHANGE = "auth.events"
COMMANDS_EXCHANGE = "auth.commands"

_OPTIONAL_STRINGS = ("subject", "dataschema", "traceparent", "producerseq", "actor", "useragent")
_OPTIONAL = (*_OPTIONAL_STRINGS, "ip", "subjectversion")


class EnvelopeError(ValueError):
    """The bytes are not a CloudEvent this platform can read; the message says which part."""


class EventData(BaseModel):
    """Base of every event's `data`: frozen, and tolerant of fields a newer producer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]

    @classmethod
    def schema_uri(cls) -> str:
        """Return the `dataschema` of this type (a URN: nothing is fetched)."""
        return f"urn:gatehouse:schema:{cls.type}"


class CommandData(EventData):
    """Base of private work orders on `auth.commands`; `type` is the routing key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event as it stands on the wire (CloudEvents 1.0 §3, extensions in lower case).

    `subjectversion` orders events of one subject, `producerseq` (decimal digits) counts what one
    source published without gaps, `actor` is who did it, `ip` and `useragent` where from.
    """

    id: UUID
    source: str
    type: str
    time: datetime
    data: dict[str, Any]
    subject: str | None = None
    dataschema: str | None = None
    subjectversion: int | None = None
    traceparent: str | None = None
    producerseq: str | None = None
    actor: str | None = None
    ip: str | None = None
    useragent: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)

    def numbered(self, producerseq: int) -> Self:
        """Return the same event carrying its place in the producer's sequence."""
        return replace(self, producerseq=str(producerseq))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the envelope; absent attributes are left out."""
        document: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": str(self.id),
            "source": self.source,
            "type": self.type,
            "time": format_time(self.time),
            "datacontenttype": DATA_CONTENT_TYPE,
        }
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                document[name] = value
        document |= self.extensions
        document["data"] = self.data
        return document

    def to_json(self) -> bytes:
        """Return the structured-mode body."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read a structured-mode body.

        Raises EnvelopeError when it is not JSON, not an object, or lacks a required attribute.
        """
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise EnvelopeError("not JSON") from None
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read the JSON object of an envelope. Raises EnvelopeError."""
        if not isinstance(document, dict):
            raise EnvelopeError("not an object")
        rest = dict(document)
        if rest.pop("specversion", None) != SPEC_VERSION:
            raise EnvelopeError("specversion")
        rest.pop("datacontenttype", None)
        known: dict[str, Any] = {
            "id": _uuid(rest.pop("id", None)),
            "source": _text(rest.pop("source", None), "source"),
            "type": _text(rest.pop("type", None), "type"),
            "time": parse_time(rest.pop("time", None)),
            "data": _object(rest.pop("data", None)),
            "subjectversion": _integer(rest.pop("subjectversion", None)),
        }
        for name in (*_OPTIONAL_STRINGS, "ip"):
            value = rest.pop(name, None)
            known[name] = None if value is None else _text(value, name)
        return cls(**known, extensions=rest)


def format_time(moment: datetime) -> str:
    """Format *moment* as RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(value: object) -> datetime:
    """Read an RFC 3339 time with an offset. Raises EnvelopeError."""
    try:
        moment = datetime.fromisoformat(_text(value, "time"))
    except ValueError:
        raise EnvelopeError("time") from None
    if moment.tzinfo is None:
        raise EnvelopeError("time")
    return moment


def _uuid(value: object) -> UUID:
    try:
        return UUID(_text(value, "id"))
    except ValueError:
        raise EnvelopeError("id") from None


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise EnvelopeError(name)
    return value


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EnvelopeError("data")
    return value


def _integer(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise EnvelopeError("subjectversion")
