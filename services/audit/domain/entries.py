"""An entry as readers see it: the leaf's plain facts with what is still there of the persons."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.envelope import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the log; `bodies` are the personal shares that may be shown."""

    event_id: UUID
    received_at: datetime
    occurred_at: datetime
    type: str
    source: str
    outcome: str
    trace_id: str | None
    leaf_bytes: bytes
    bodies: Sequence[bytes]

    def shown(self) -> dict[str, Any]:
        """Return the JSON object of the entry.

        `erased` says that personal data is gone, or is another's and kept from this reader.
        """
        leaf = json.loads(self.leaf_bytes)
        shares = [json.loads(body) for body in self.bodies]
        personal = {name: value for share in shares for name, value in share.items()}
        return {
            "id": str(self.event_id),
            "type": self.type,
            "outcome": self.outcome,
            "actor": personal.get("actor"),
            "subject": leaf["subject"] or personal.get("subject"),
            "ip": personal.get("ip"),
            "user_agent": personal.get("useragent"),
            "occurred_at": format_time(self.occurred_at),
            "received_at": format_time(self.received_at),
            "source": self.source,
            "producerseq": leaf["producerseq"],
            "trace_id": self.trace_id,
            "data": leaf["data"] | personal.get("data", {}),
            "erased": len(shares) < len(leaf["pii_commit"]),
        }
