"""A row in the archive: one line of JSON, its personal shares sealed.

A share is sealed under a key of its own, derived from its person's key, or from the partition's
where it is nobody's (addresses of strangers, names that were typed). `who` tells whose key, itself
sealed under the partition's, so that without it nobody can even say which rows are of one person.
Erasing the person deletes their key, and nothing of them can be opened or related any more.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from chassis.crypto import SealBrokenError, derive, seal, unseal
from contracts.envelope import format_time
from services.audit.domain.archive.errors import DamagedError
from services.audit.domain.classification import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What a row of the log says to everybody."""

    received_at: datetime
    event_id: UUID
    type: str
    source: str
    producerseq: int | None
    outcome: str
    subject: str | None
    occurred_at: datetime
    trace_id: str | None
    leaf_bytes: bytes
    leaf_index: int | None

    @property
    def place(self) -> tuple[datetime, UUID]:
        """Return where the row stands in the order of the log."""
        return self.received_at, self.event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The personal data of one party, with the salt of its commitment."""

    party: Party
    person_id: UUID | None
    salt: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonKey:
    """A person's key; `key_id` is random and leads to nobody once the key is deleted."""

    key_id: bytes
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedShare:
    """A share as the archive holds it; `who` is None when it is nobody's."""

    party: Party
    who: str | None
    box: str


@dataclass(frozen=True, slots=True)
class ArchivedRow:
    """A row as the archive holds it."""

    columns: Columns
    shares: tuple[SealedShare, ...]

    def to_line(self) -> bytes:
        """Return the line of this row."""
        columns = self.columns
        document = {
            "received_at": format_time(columns.received_at),
            "event_id": str(columns.event_id),
            "type": columns.type,
            "source": columns.source,
            "producerseq": columns.producerseq,
            "outcome": columns.outcome,
            "subject": columns.subject,
            "occurred_at": format_time(columns.occurred_at),
            "trace_id": columns.trace_id,
            "leaf_index": columns.leaf_index,
            "leaf": columns.leaf_bytes.decode(),
            "shares": [{"party": s.party, "who": s.who, "box": s.box} for s in self.shares],
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes) -> ArchivedRow:
    """Read what `to_line` wrote. Raises DamagedError."""
    try:
        return _row(json.loads(line))
    except (ValueError, TypeError, KeyError):
        raise DamagedError("a line is no row") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """Seals and opens the shares of the partition whose key is *key*."""

    partition: str
    key: bytes

    def seal(self, columns: Columns, share: Share, person: PersonKey | None) -> SealedShare:
        """Seal *share* for *person*, who is None when it is nobody's."""
        place = self._place(columns, share.party)
        owner = self.key if person is None else person.key
        who = None if person is None else seal([self.key], person.key_id, context=f"who {place}")
        plain = {
            "person": None if share.person_id is None else str(share.person_id),
            "salt": share.salt.hex(),
            "body": share.body.decode(),
        }
        box = seal(
            [derive(owner, f"share {place}")],
            json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode(),
            context=place,
        )
        return SealedShare(party=share.party, who=who, box=box)

    def owner_of(self, columns: Columns, share: SealedShare) -> bytes | None:
        """Return the id of the key that opens *share*; None for the partition's own.

        Raises DamagedError.
        """
        if share.who is None:
            return None
        try:
            context = f"who {self._place(columns, share.party)}"
            return unseal([self.key], share.who, context=context)
        except SealBrokenError:
            raise DamagedError(f"whose a share of {columns.event_id} is cannot be read") from None

    def open(
        self, columns: Columns, share: SealedShare, keys: Mapping[bytes, bytes]
    ) -> Share | None:
        """Open *share*; None when its key is not among *keys*: it was deleted with its person.

        Raises DamagedError when the key is there and does not fit.
        """
        owner = self.owner_of(columns, share)
        key = self.key if owner is None else keys.get(owner)
        if key is None:
            return None
        place = self._place(columns, share.party)
        try:
            plain = json.loads(unseal([derive(key, f"share {place}")], share.box, context=place))
            person = plain["person"]
            return Share(
                party=share.party,
                person_id=None if person is None else UUID(person),
                salt=bytes.fromhex(plain["salt"]),
                body=plain["body"].encode(),
            )
        except (SealBrokenError, ValueError, TypeError, KeyError):
            raise DamagedError(f"a share of {columns.event_id} cannot be opened") from None

    def _place(self, columns: Columns, party: Party) -> str:
        return f"audit archive {self.partition} {columns.event_id} {party}"


def owners_of(sealing: Sealing, rows: Iterable[ArchivedRow]) -> set[bytes]:
    """Return the ids of all persons' keys that *rows* need. Raises DamagedError."""
    owners = {sealing.owner_of(row.columns, share) for row in rows for share in row.shares}
    return {owner for owner in owners if owner is not None}


def _row(document: dict[str, Any]) -> ArchivedRow:
    shares = tuple(
        SealedShare(party=_party(share["party"]), who=share["who"], box=share["box"])
        for share in document.pop("shares")
    )
    document |= {
        "received_at": datetime.fromisoformat(document["received_at"]),
        "occurred_at": datetime.fromisoformat(document["occurred_at"]),
        "event_id": UUID(document["event_id"]),
        "leaf_bytes": document.pop("leaf").encode(),
    }
    return ArchivedRow(Columns(**document), shares)


def _party(text: str) -> Party:
    if text not in {"subject", "actor"}:
        raise ValueError(text)
    return cast("Party", text)
