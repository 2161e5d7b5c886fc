"""Changes of address: both links stored by hash, each used by one conditional UPDATE (D10)."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.identity.domain.email_changes import EmailChange, NewEmailChange
from services.identity.models import email_changes

_C = email_changes.c
_COLUMNS = tuple(_C[field.name] for field in fields(EmailChange))


async def add(tx: Transaction, change: NewEmailChange) -> None:
    """Store a change; what the account asked for before cannot be confirmed any more.

    The caller holds the account's row.
    """
    await void_pending(tx, change.user_id, now=change.requested_at)
    await tx.execute(sa.insert(email_changes).values(asdict(change)))


async def list_moments(tx: Transaction, user_id: UUID, *, since: datetime) -> list[datetime]:
    """Return when the account asked for changes after *since*, oldest first."""
    statement = sa.select(_C.requested_at).where(_C.user_id == user_id, _C.requested_at > since)
    rows = (await tx.execute(statement.order_by(_C.requested_at))).all()
    return [row.requested_at for row in rows]


async def find(tx: Transaction, change_id: UUID) -> EmailChange | None:
    """Return a change, in whatever state."""
    return await _one(tx, sa.select(*_COLUMNS).where(_C.id == change_id))


async def find_by_token(tx: Transaction, digest: bytes) -> EmailChange | None:
    """Return the change that a confirmation link belongs to, in whatever state."""
    return await _one(tx, sa.select(*_COLUMNS).where(_C.token_hash == digest))


async def find_owner_of_revert(tx: Transaction, digest: bytes) -> UUID | None:
    """Return whose change a link takes back, in whatever state."""
    owner = await tx.scalar(sa.select(_C.user_id).where(_C.revert_hash == digest))
    return owner if isinstance(owner, UUID) else None


async def set_token(tx: Transaction, change_id: UUID, digest: bytes, *, now: datetime) -> bool:
    """Store the hash of the confirmation link; False when nobody may confirm any more."""
    statement = sa.update(email_changes).where(_C.id == change_id, *_pending(now))
    return (await tx.execute(statement.values(token_hash=digest))).rowcount == 1


async def confirm(tx: Transaction, digest: bytes, *, now: datetime) -> EmailChange | None:
    """Use the confirmation link; None when it is not live."""
    statement = sa.update(email_changes).where(_C.token_hash == digest, *_pending(now))
    return await _one(tx, statement.values(confirmed_at=now).returning(*_COLUMNS))


async def revert(tx: Transaction, digest: bytes, *, now: datetime) -> EmailChange | None:
    """Use the link that takes a change back, and void what came after it; None if not live.

    Links of earlier changes stay alive: their owners may know better still.
    """
    statement = sa.update(email_changes).where(_C.revert_hash == digest, *_revertible(now))
    change = await _one(tx, statement.values(reverted_at=now).returning(*_COLUMNS))
    if change is not None:
        await void_pending(tx, change.user_id, now=now)
        later = _C.requested_at >= change.requested_at
        await _void_reverts(tx, _C.user_id == change.user_id, later, now=now)
    return change


async def void_all(tx: Transaction, user_id: UUID, *, now: datetime) -> None:
    """Void every link of the account's changes, either way."""
    await void_pending(tx, user_id, now=now)
    await _void_reverts(tx, _C.user_id == user_id, now=now)


async def void_pending(tx: Transaction, user_id: UUID, *, now: datetime) -> None:
    """Void the confirmation links of the account's changes."""
    where = (_C.user_id == user_id, *_pending(now))
    await tx.execute(sa.update(email_changes).where(*where).values(voided_at=now))


def holds(email_folded: str, *, now: datetime, except_for: UUID | None) -> sa.ColumnElement[bool]:
    """Say whether an address is held for an account other than *except_for* that may revert."""
    where = [_C.previous_email_folded == email_folded, *_revertible(now)]
    if except_for is not None:
        where.append(_C.user_id != except_for)
    return sa.exists().where(*where)


def held_addresses(emails_folded: Sequence[str], *, now: datetime) -> sa.Select[tuple[str]]:
    """Select which of the addresses are held for accounts that may revert."""
    where = (_C.previous_email_folded.in_(emails_folded), *_revertible(now))
    return sa.select(_C.previous_email_folded).where(*where)


async def _void_reverts(tx: Transaction, *where: sa.ColumnElement[bool], now: datetime) -> None:
    statement = sa.update(email_changes).where(*where, *_revertible(now))
    await tx.execute(statement.values(revert_voided_at=now))


def _pending(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (_C.confirmed_at.is_(None), _C.voided_at.is_(None), _C.expires_at > now)


def _revertible(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _C.reverted_at.is_(None),
        _C.revert_voided_at.is_(None),
        _C.revert_expires_at > now,
    )


async def _one(tx: Transaction, statement: Any) -> EmailChange | None:
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else EmailChange(**row._mapping)  # noqa: SLF001 - its public name
