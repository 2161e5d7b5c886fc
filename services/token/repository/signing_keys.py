"""Signing keys at rest, changed by one replica at a time."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from chassis.database import Transaction
from services.token.domain.keys import KeyLife, KeyState
from services.token.keys import SigningKey, StoredKey
from services.token.models import signing_keys

_ROTATION_LOCK = 0x67617465_0010
c = signing_keys.c


async def lock_rotation(tx: Transaction) -> None:
    """Wait until no other replica changes keys; the lock ends with the transaction."""
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_ROTATION_LOCK)))


async def database_time(tx: Transaction) -> datetime:
    """Return the time every replica agrees about; after `lock_rotation` it is that of the lock."""
    moment: datetime = await tx.scalar(sa.select(sa.func.clock_timestamp()))
    return moment


async def list_keys(tx: Transaction) -> Sequence[StoredKey]:
    """Return all keys, oldest first."""
    rows = await tx.execute(sa.select(signing_keys).order_by(c.published_at, c.kid))
    return [
        StoredKey(
            life=KeyLife(
                kid=row.kid,
                algorithm=row.algorithm,
                state=row.state,
                published_at=row.published_at,
                activated_at=row.activated_at,
                retired_at=row.retired_at,
                due_at=row.due_at,
            ),
            public_jwk=row.public_jwk,
            sealed_private_key=row.sealed_private_key,
        )
        for row in rows
    ]


async def add_key(
    tx: Transaction, key: SigningKey, *, sealed: str, state: KeyState, now: datetime
) -> None:
    """Store a new key, published or at once active."""
    values = {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "public_jwk": dict(key.public_jwk),
        "sealed_private_key": sealed,
        "state": state,
        "published_at": now,
        "activated_at": now if state == "active" else None,
    }
    await tx.execute(sa.insert(signing_keys).values(values))


async def mark_active(tx: Transaction, kid: str, *, now: datetime) -> None:
    """Let a published key sign."""
    await _update(tx, kid, state="active", activated_at=now)


async def mark_due(tx: Transaction, kid: str, *, now: datetime) -> None:
    """Have a key replaced as soon as its successor may sign."""
    await _update(tx, kid, due_at=now)


async def mark_retired(tx: Transaction, kid: str, *, now: datetime) -> None:
    """Let a key sign no more: its private half is destroyed at once."""
    await _update(tx, kid, state="retired", retired_at=now, sealed_private_key=None)


async def mark_resealed(tx: Transaction, kid: str, sealed: str) -> None:
    """Keep a private half under another encryption key."""
    await _update(tx, kid, sealed_private_key=sealed)


async def delete_keys(tx: Transaction, kids: Collection[str]) -> None:
    """Take keys out of the JWKS for good."""
    await tx.execute(sa.delete(signing_keys).where(c.kid.in_(kids)))


async def _update(tx: Transaction, kid: str, **values: object) -> None:
    await tx.execute(sa.update(signing_keys).where(c.kid == kid).values(**values))
