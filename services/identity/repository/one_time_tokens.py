"""Verification and reset tokens: stored by hash, consumed by one conditional UPDATE (D10)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.identity.domain.one_time_tokens import MAX_LIVE_RESETS
from services.identity.models import email_verifications, password_resets


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token about to be stored."""

    id: UUID
    user_id: UUID
    digest: bytes
    created_at: datetime
    expires_at: datetime


async def add_verification(tx: Transaction, token: NewToken) -> None:
    """Store a verification token; older ones of the account are void from now on."""
    await _void(tx, email_verifications, token.user_id, now=token.created_at)
    await _add(tx, email_verifications, token)


async def add_reset(tx: Transaction, token: NewToken) -> None:
    """Store a reset token; of the older ones only the newest stay alive.

    The caller holds the account's row, so that two additions do not miscount.
    """
    table = password_resets
    kept = (
        sa.select(table.c.id)
        .where(table.c.user_id == token.user_id, *_live(table, token.created_at))
        .order_by(table.c.created_at.desc(), table.c.id.desc())
        .limit(MAX_LIVE_RESETS - 1)
    )
    await tx.execute(
        sa.update(table)
        .where(table.c.user_id == token.user_id, *_live(table, token.created_at))
        .where(table.c.id.not_in(kept))
        .values(voided_at=token.created_at)
    )
    await _add(tx, table, token)


async def consume_verification(tx: Transaction, digest: bytes, *, now: datetime) -> UUID | None:
    """Use the token; return whose it was, or None when it is not live."""
    return await _consume(tx, email_verifications, digest, now=now)


async def consume_reset(tx: Transaction, digest: bytes, *, now: datetime) -> UUID | None:
    """Use the token and void all others of the account; None when it is not live."""
    user_id = await _consume(tx, password_resets, digest, now=now)
    if user_id is not None:
        await void_resets(tx, user_id, now=now)
    return user_id


async def void_resets(tx: Transaction, user_id: UUID, *, now: datetime) -> None:
    """Void every live reset token of the account."""
    await _void(tx, password_resets, user_id, now=now)


async def void_verifications(tx: Transaction, user_id: UUID, *, now: datetime) -> None:
    """Void every live verification token of the account."""
    await _void(tx, email_verifications, user_id, now=now)


async def find_owner_of_verification(tx: Transaction, digest: bytes) -> UUID | None:
    """Return whose verification token this is or was, in whatever state."""
    table = email_verifications
    owner = await tx.scalar(sa.select(table.c.user_id).where(table.c.token_hash == digest))
    return owner if isinstance(owner, UUID) else None


async def find_owner_of_live_reset(tx: Transaction, digest: bytes, *, now: datetime) -> UUID | None:
    """Return whose reset token this is, without using it; None when it is not live."""
    table = password_resets
    where = (table.c.token_hash == digest, *_live(table, now))
    owner = await tx.scalar(sa.select(table.c.user_id).where(*where))
    return owner if isinstance(owner, UUID) else None


async def _add(tx: Transaction, table: sa.Table, token: NewToken) -> None:
    await tx.execute(
        sa.insert(table).values(
            id=token.id,
            user_id=token.user_id,
            token_hash=token.digest,
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
    )


async def _consume(
    tx: Transaction, table: sa.Table, digest: bytes, *, now: datetime
) -> UUID | None:
    statement = (
        sa.update(table)
        .where(table.c.token_hash == digest, *_live(table, now))
        .values(used_at=now)
        .returning(table.c.user_id)
    )
    owner = await tx.scalar(statement)
    return owner if isinstance(owner, UUID) else None


async def _void(tx: Transaction, table: sa.Table, user_id: UUID, *, now: datetime) -> None:
    where = (table.c.user_id == user_id, *_live(table, now))
    await tx.execute(sa.update(table).where(*where).values(voided_at=now))


def _live(table: sa.Table, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.used_at.is_(None), table.c.voided_at.is_(None), table.c.expires_at > now)
