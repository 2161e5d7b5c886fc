"""The envelope as it stands on the wire (CloudEvents 1.0)."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from contracts.envelope import CloudEvent, EnvelopeError

EVENT = CloudEvent(
    id=UUID("01937b1e-0000-7000-8000-000000000001"),
    source="/gatehouse/identity",
    type="identity.user.registered.v1",
    time=datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC),
    data={"user_id": "u1", "email": "é@example.com"},
    subject="u1",
    subjectversion=1,
    ip="192.0.2.1",
)
WIRE = {
    "specversion": "1.0",
    "id": "01937b1e-0000-7000-8000-000000000001",
    "source": "/gatehouse/identity",
    "type": "identity.user.registered.v1",
    "time": "2026-11-22T12:00:00.000005Z",
    "datacontenttype": "application/json",
    "subject": "u1",
    "ip": "192.0.2.1",
    "subjectversion": 1,
    "data": {"user_id": "u1", "email": "é@example.com"},
}


def test_the_wire_form_is_frozen() -> None:
    """This sample never changes: others read it."""
    assert json.loads(EVENT.to_json()) == WIRE


def test_it_reads_what_it_writes() -> None:
    """Also when the relay has numbered it."""
    numbered = EVENT.numbered(7)
    assert CloudEvent.from_json(numbered.to_json()) == numbered
    assert numbered.producerseq == "7"


def test_unknown_extensions_are_kept() -> None:
    """What a newer producer added passes through."""
    event = CloudEvent.from_dict(WIRE | {"region": "eu"})
    assert event.extensions == {"region": "eu"}
    assert event.to_dict()["region"] == "eu"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """Any bytes at all give an EnvelopeError and nothing else."""
    with pytest.raises(EnvelopeError):
        CloudEvent.from_json(body)


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"},
        {"id": "not a uuid"},
        {"id": None},
        {"source": ""},
        {"type": 7},
        {"time": "2026-11-22T12:00:00"},
        {"time": "yesterday"},
        {"data": None},
        {"data": "text"},
        {"subjectversion": "1"},
        {"subjectversion": True},
        {"actor": ["x"]},
    ],
)
def test_a_wrong_attribute_is_refused(change: dict[str, Any]) -> None:
    """Each required attribute has its type."""
    with pytest.raises(EnvelopeError):
        CloudEvent.from_dict(WIRE | change)
