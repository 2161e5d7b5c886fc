"""The manifest of an archived partition: what it consists of, signed, and which one came before.

The file is a DSSE envelope (secure-systems-lab/dsse, v1): anybody with the public key and any
Ed25519 library can check it, without this program and without the database.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.envelope import format_time
from services.audit.domain.archive.errors import DamagedError
from services.audit.domain.archive.objects import ArchiveObject
from services.audit.domain.canonical import canonical_json

PAYLOAD_TYPE = "application/vnd.gatehouse.audit-archive.v1+json"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with the first of *seeds* (32 bytes each), verifies with all of them."""

    seeds: Sequence[bytes]

    @property
    def public_keys(self) -> dict[str, bytes]:
        """Return the public keys by their ids, the one that signs first."""
        keys = [Ed25519PrivateKey.from_private_bytes(seed) for seed in self.seeds]
        public = [key.public_key().public_bytes_raw() for key in keys]
        return {hashlib.sha256(raw).hexdigest()[:16]: raw for raw in public}

    def sign(self, payload: bytes) -> bytes:
        """Return the envelope of *payload*."""
        key = Ed25519PrivateKey.from_private_bytes(self.seeds[0])
        signature = {
            "keyid": next(iter(self.public_keys)),
            "sig": base64.b64encode(key.sign(_authenticated(payload))).decode(),
        }
        envelope = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [signature],
        }
        return canonical_json(envelope)

    def open(self, envelope: bytes) -> bytes:
        """Return the payload. Raises DamagedError unless one of our keys signed it."""
        try:
            document = json.loads(envelope)
            payload = base64.b64decode(document["payload"], validate=True)
            signatures = [
                (str(s["keyid"]), base64.b64decode(s["sig"], validate=True))
                for s in document["signatures"]
            ]
            known = document["payloadType"] == PAYLOAD_TYPE
        except (ValueError, TypeError, KeyError, binascii.Error):
            raise DamagedError("the manifest is no signed envelope") from None
        if not known or not any(self._signed(payload, *each) for each in signatures):
            raise DamagedError("none of our keys signed the manifest")
        return payload

    def _signed(self, payload: bytes, key_id: str, signature: bytes) -> bool:
        for seed in self.seeds:
            key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
            if hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16] != key_id:
                continue
            try:
                key.verify(signature, _authenticated(payload))
            except InvalidSignature:
                return False
            return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archived partition consists of.

    `previous` is the SHA-256 of the manifest before it, None for the first.
    """

    partition: str
    starts_at: datetime
    ends_at: datetime
    row_count: int
    sequenced: int
    objects: tuple[dict[str, Any], ...]
    leaves: dict[str, Any]
    previous: str | None

    @classmethod
    def of(
        cls,
        partition: str,
        period: tuple[datetime, datetime],
        objects: Sequence[ArchiveObject],
        *,
        previous: bytes | None,
    ) -> Self:
        """Describe the partition that *objects* hold completely and in order."""
        firsts = [o.first_leaf_index for o in objects if o.first_leaf_index is not None]
        lasts = [o.last_leaf_index for o in objects if o.last_leaf_index is not None]
        return cls(
            partition=partition,
            starts_at=period[0],
            ends_at=period[1],
            row_count=sum(o.row_count for o in objects),
            sequenced=sum(o.sequenced for o in objects),
            objects=tuple(_described(o) for o in objects),
            leaves={
                "order": "received_at, event_id",
                "first_index": min(firsts, default=None),
                "last_index": max(lasts, default=None),
            },
            previous=None if previous is None else previous.hex(),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical JSON that is signed: the same manifest, the same bytes."""
        return canonical_json(
            {
                "partition": self.partition,
                "starts_at": format_time(self.starts_at),
                "ends_at": format_time(self.ends_at),
                "rows": self.row_count,
                "sequenced": self.sequenced,
                "leaves": self.leaves,
                "objects": list(self.objects),
                "previous": self.previous,
            }
        )


def name_of(partition: str, envelope: bytes) -> str:
    """Return the name under which a signed manifest is stored; it tells the content."""
    return f"{partition}/manifest-{hashlib.sha256(envelope).hexdigest()[:16]}.json"


def is_manifest(name: str) -> bool:
    """Say whether *name* is one that `name_of` gives."""
    return name.partition("/")[2].startswith("manifest-")


def _described(one: ArchiveObject) -> dict[str, Any]:
    return {
        "name": one.name,
        "rows": one.row_count,
        "size": one.size,
        "sha256": one.sha256.hex(),
        "first": [format_time(one.first[0]), str(one.first[1])],
        "last": [format_time(one.last[0]), str(one.last[1])],
        "types": list(one.types),
    }


def _authenticated(payload: bytes) -> bytes:
    """Return the pre-authentication encoding (DSSE protocol, PAE)."""
    head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} "
    return head.encode() + payload
