"""Who mails go to, as identity's facts say; versions only ever move upwards (D24)."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from services.notify.domain.messages import Recipient
from services.notify.models import recipients

_C = recipients.c
_ALIVE = _C.erased_at.is_(None)


async def mark_registered(
    tx: Transaction, user_id: UUID, *, email: str, username: str, version: int
) -> None:
    """Remember a new account, unless something newer is known."""
    add = insert(recipients).values(
        user_id=user_id, email=email, username=username, version=version
    )
    newest = {"email": email, "username": username, "version": version}
    await tx.execute(
        add.on_conflict_do_update(
            index_elements=["user_id"], set_=newest, where=_ALIVE & (_C.version < version)
        )
    )


async def mark_email(tx: Transaction, user_id: UUID, *, email: str, version: int) -> None:
    """Remember the account's address, unless something newer is known."""
    add = insert(recipients).values(user_id=user_id, email=email, version=version)
    await tx.execute(
        add.on_conflict_do_update(
            index_elements=["user_id"],
            set_={"email": email, "version": version},
            where=_ALIVE & (_C.version < version),
        )
    )


async def forget_username(tx: Transaction, user_id: UUID, *, version: int) -> None:
    """Greet without a name until a newer one is told: the fact names the field, not its value."""
    await tx.execute(
        sa.update(recipients)
        .where((_C.user_id == user_id) & _ALIVE & (_C.version < version))
        .values(username=None, version=version)
    )


async def lock_named(tx: Transaction, user_id: UUID, *, username: str) -> Recipient:
    """Return the user of a command, locked, and learn the name where none is known.

    A command may arrive before the registration does; the lock keeps it and an erasure in turn.
    """
    add = insert(recipients).values(user_id=user_id, username=username)
    known = sa.case((_ALIVE, sa.func.coalesce(_C.username, add.excluded.username)), else_=None)
    statement = add.on_conflict_do_update(
        index_elements=["user_id"], set_={"username": known}
    ).returning(recipients)
    return _recipient((await tx.execute(statement)).one())


async def find_locked(tx: Transaction, user_id: UUID) -> Recipient | None:
    """Return a recipient, kept from being erased until the transaction ends."""
    statement = sa.select(recipients).where(_C.user_id == user_id).with_for_update()
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else _recipient(row)


async def mark_welcomed(tx: Transaction, user_id: UUID) -> bool:
    """Remember that the account is welcomed; False when it was before, is unknown, or erased."""
    first = (_C.user_id == user_id) & _ALIVE & _C.welcomed_at.is_(None)
    statement = sa.update(recipients).where(first).values(welcomed_at=sa.func.now())
    return (await tx.execute(statement)).rowcount == 1


async def erase(tx: Transaction, user_id: UUID) -> None:
    """Leave nothing of the person but the mark that it is gone, which outlives late facts."""
    add = insert(recipients).values(user_id=user_id, erased_at=sa.func.now())
    await tx.execute(
        add.on_conflict_do_update(
            index_elements=["user_id"],
            set_={"email": None, "username": None, "erased_at": sa.func.now()},
        )
    )


def _recipient(row: sa.Row[Any]) -> Recipient:
    return Recipient(row.user_id, row.email, row.username, row.erased_at is not None)
