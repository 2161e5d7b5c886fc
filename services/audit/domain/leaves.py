"""Leaves and commitments: what each row proves for ever, and what can be forgotten (D17).

A leaf is the canonical JSON of what happened, without personal data; `pii_commit` holds, for each
party, hex HMAC-SHA256(salt, canonical JSON of the party's personal data). Who has salt and data
can prove that they belong to the leaf; without the salt the commitment tells nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.networks import plain_address
from chassis.printable import printable
from contracts.envelope import CloudEvent, format_time
from services.audit.domain.canonical import canonical_json
from services.audit.domain.classification import Classified, Party, classify, uuid_of

SALT_BYTES = 32

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_SEQUENCE = 2**63 - 1
_SEARCHABLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalRecord:
    """One party's row of the side table; `body` is exactly what was committed to."""

    party: Party
    person_id: UUID | None
    salt: bytes
    body: bytes
    actor: str | None
    target: str | None
    session_id: UUID | None
    ip: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One row of the log with its personal records; `producerseq` is None when it has none."""

    event_id: UUID
    received_at: datetime
    occurred_at: datetime
    type: str
    source: str
    outcome: str
    subject: str | None
    producerseq: int | None
    trace_id: str | None
    leaf_bytes: bytes
    personal: tuple[PersonalRecord, ...]


def commitment(salt: bytes, body: bytes) -> str:
    """Return the hex HMAC-SHA256 that binds *body* to a leaf (RFC 2104)."""
    return hmac.digest(salt, body, hashlib.sha256).hex()


def verifies(expected: str, *, salt: bytes, body: bytes) -> bool:
    """Say whether *body* is what a leaf committed to as *expected*."""
    return hmac.compare_digest(commitment(salt, body), expected)


def record(event: CloudEvent, *, received_at: datetime, new_salt: Callable[[], bytes]) -> LogRecord:
    """Make the row of *event*. Raises NotCanonicalError, OverflowError for a time before year 1."""
    classified = classify(event)
    personal = tuple(
        PersonalRecord(
            party=share.party,
            person_id=share.person_id,
            salt=new_salt(),
            body=canonical_json(share.personal),
            **searchable(share.personal),
        )
        for share in classified.shares
    )
    return LogRecord(
        event_id=event.id,
        received_at=received_at,
        occurred_at=event.time,
        type=searchable_text(event.type) or "",
        source=searchable_text(event.source) or "",
        outcome=classified.outcome,
        subject=searchable_text(classified.subject),
        producerseq=_sequence(event.producerseq),
        trace_id=_trace_id(event.traceparent),
        leaf_bytes=_leaf(event, classified, received_at, personal),
        personal=personal,
    )


def _leaf(
    event: CloudEvent,
    classified: Classified,
    received_at: datetime,
    personal: tuple[PersonalRecord, ...],
) -> bytes:
    return canonical_json(
        {
            "event_id": str(event.id),
            "source": event.source,
            "type": event.type,
            "producerseq": event.producerseq,
            "subject": classified.subject,
            "subjectversion": event.subjectversion,
            "outcome": classified.outcome,
            "occurred_at": format_time(event.time),
            "received_at": format_time(received_at),
            "traceparent": event.traceparent,
            "data": classified.data,
            "pii_commit": {share.party: commitment(share.salt, share.body) for share in personal},
        }
    )


def searchable(personal: dict[str, Any]) -> dict[str, Any]:
    """Return what a query may ask for, in the form of its columns."""
    return {
        "actor": searchable_text(personal.get("actor")),
        "target": searchable_text(personal.get("subject")),
        "session_id": uuid_of(personal.get("data", {}).get("session_id")),
        "ip": _address(personal.get("ip")),
    }


def searchable_text(text: str | None) -> str | None:
    """Return *text* short and fit for a text column; the body keeps it as it came."""
    if text is None:
        return None
    return printable(text, length=_SEARCHABLE_CHARACTERS)


def _address(text: str | None) -> str | None:
    try:
        return str(plain_address((text or "").partition("%")[0]))
    except ValueError:
        return None


def _sequence(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    return int(text[:20]) if int(text[:20]) <= _MAX_SEQUENCE else None


def _trace_id(traceparent: str | None) -> str | None:
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match[1] if match else None
