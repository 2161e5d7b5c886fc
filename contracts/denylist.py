"""How the deny list lies in Redis (D12): token writes it, gateways read it.

A key per entry, gone by itself when the entry has had its time. Who reads nothing there still has
what it was told by other ways; who reads an entry refuses.
"""

from typing import Literal
from uuid import UUID

_PREFIX = "gatehouse:denied:"

FILLED_KEY = f"{_PREFIX}filled"
"""There while everything that lives in PostgreSQL is here too; FLUSHALL takes it along."""


def denied_key(kind: Literal["jti", "sid", "sub"], value: str | UUID) -> str:
    """Return the key of an entry.

    Of a `sub` it holds the version below which tokens are refused, else 1.
    """
    return f"{_PREFIX}{kind}:{value}"
