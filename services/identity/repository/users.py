"""Accounts and their roles."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import IntegrityError

from chassis.database import Transaction
from services.identity.domain.accounts import NewUser, Role, User
from services.identity.models import user_roles, users
from services.identity.repository import names

_roles = (
    sa.select(sa.func.array_agg(user_roles.c.role, type_=ARRAY(sa.Text)))
    .where(user_roles.c.user_id == users.c.id)
    .correlate(users)
    .scalar_subquery()
    .label("roles")
)
with_roles = sa.select(users, _roles)
"""Select whole accounts; other modules of this room add their conditions."""


# On the driver's connection: every login begins with one of them.
_BY_NAME = """
SELECT u.*, (SELECT array_agg(role) FROM user_roles AS r WHERE r.user_id = u.id) AS roles
FROM users AS u WHERE """
_BY_ADDRESS = f"{_BY_NAME} email_folded = $1"
_BY_USERNAME = f"{_BY_NAME} username = $1"


async def find(tx: Transaction, user_id: UUID) -> User | None:
    """Return the account, or None."""
    return await _one(tx, with_roles.where(users.c.id == user_id))


async def find_for_update(tx: Transaction, user_id: UUID, *, renames: bool = False) -> User | None:
    """Return the account, its row locked until the end of the transaction.

    Whoever *renames* (or readdresses, or deletes) it waits here for those who only hold it: the
    names are keys, so changing them would wait later, for somebody who may wait for this lock.
    Read in a second statement: the first may have waited for somebody who changed its roles.
    """
    statement = sa.select(users.c.id).where(users.c.id == user_id)
    await tx.execute(statement.with_for_update(key_share=not renames))
    return await find(tx, user_id)


async def find_by_login_name(tx: Transaction, folded: str) -> User | None:
    """Return the account of a folded address or username."""
    statement = _BY_ADDRESS if "@" in folded else _BY_USERNAME
    found = await tx.fetch_row(statement, folded)
    return None if found is None else user_of(found)


async def find_by_mailbox(tx: Transaction, email_folded: str) -> User | None:
    """Return the account of a folded address, its row locked."""
    where = users.c.email_folded == email_folded
    return await _one(tx, with_roles.where(where).with_for_update(of=users, key_share=True))


async def add(
    tx: Transaction, user: NewUser, *, now: datetime, granted_by: UUID | None = None
) -> bool:
    """Store a new account with its roles; False when its address or username is taken."""
    row = {
        "id": user.id,
        "email": user.email,
        "email_folded": user.email_folded,
        "username": user.username,
        "password_hash": user.password_hash,
        "is_verified": user.is_verified,
        "password_change_required": user.password_change_required,
        "password_reset_required": user.password_reset_required,
        "created_at": user.created_at,
        "unverified_since": None if user.is_verified else now,
    }
    statement = insert(users).values(row).on_conflict_do_nothing().returning(users.c.id)
    if await tx.scalar(statement) is None:
        return False
    # Asked after the insert, which waits for whoever is about to give the name up.
    if await names.list_held(
        tx, emails_folded=[user.email_folded], usernames=[user.username], now=now
    ):
        await tx.execute(sa.delete(users).where(users.c.id == user.id))
        return False
    await add_roles(tx, user.id, user.roles, now=now, granted_by=granted_by)
    return True


async def add_roles(
    tx: Transaction,
    user_id: UUID,
    roles: Iterable[str],
    *,
    now: datetime,
    granted_by: UUID | None,
) -> None:
    """Grant *roles* that the account does not have."""
    rows = [
        {"user_id": user_id, "role": str(role), "granted_at": now, "granted_by": granted_by}
        for role in sorted(roles)
    ]
    await tx.execute(insert(user_roles).values(rows).on_conflict_do_nothing())


async def update(tx: Transaction, user_id: UUID, **changes: Any) -> User | None:
    """Change the account and count its version (D24); return it as it is now."""
    statement = (
        sa.update(users)
        .where(users.c.id == user_id)
        .values(version=users.c.version + 1, **changes)
        .returning(users, _roles)
    )
    return await _one(tx, statement)


async def mark_verified(tx: Transaction, user_id: UUID) -> User | None:
    """Mark the address as proven; None when it was already."""
    statement = (
        sa.update(users)
        .where(users.c.id == user_id, sa.not_(users.c.is_verified))
        .values(is_verified=True, unverified_since=None, version=users.c.version + 1)
        .returning(users, _roles)
    )
    return await _one(tx, statement)


async def mark_unverified(tx: Transaction, user_id: UUID, *, now: datetime) -> User | None:
    """Take it back that the address is proven; None when it was not."""
    statement = (
        sa.update(users)
        .where(users.c.id == user_id, users.c.is_verified)
        .values(is_verified=False, unverified_since=now, version=users.c.version + 1)
        .returning(users, _roles)
    )
    return await _one(tx, statement)


async def list_never_proven(tx: Transaction, *, before: datetime, limit: int) -> list[UUID]:
    """Return plain accounts nobody used whose address is not proven since *before*, oldest first.

    What administrators locked or disabled stays: the names may be what they wanted off the market.
    """
    c = users.c
    privileged = sa.exists().where(user_roles.c.user_id == c.id, user_roles.c.role != Role.USER)
    statement = sa.select(c.id).where(
        c.unverified_since < before,
        c.last_login.is_(None),
        sa.not_(sa.or_(c.is_verified, c.is_locked, c.is_disabled, privileged)),
    )
    rows = (await tx.execute(statement.order_by(c.unverified_since).limit(limit))).all()
    return [row.id for row in rows]


async def change_names(tx: Transaction, user_id: UUID, **changes: Any) -> User | None:
    """Give the account another address or username; None when somebody just took it.

    The transaction is lost then: only raising is left.
    """
    try:
        return await update(tx, user_id, **changes)
    except IntegrityError:
        return None


async def set_password(
    tx: Transaction, user_id: UUID, password_hash: str, **besides: Any
) -> User | None:
    """Store a new password: every device token is void, every duty to change it fulfilled."""
    return await update(
        tx,
        user_id,
        password_hash=password_hash,
        credentials_epoch=users.c.credentials_epoch + 1,
        password_change_required=False,
        password_reset_required=False,
        **besides,
    )


async def hold(tx: Transaction, user_id: UUID) -> bool:
    """Keep the account from being deleted until the transaction ends; False when it is gone."""
    statement = sa.select(users.c.id).where(users.c.id == user_id)
    return await tx.scalar(statement.with_for_update(read=True, key_share=True)) is not None


async def delete(tx: Transaction, user_id: UUID) -> User | None:
    """Delete the account with everything of it but its counters; return what it was."""
    user = await find(tx, user_id)
    deleted = await tx.execute(sa.delete(users).where(users.c.id == user_id))
    return user if deleted.rowcount == 1 else None


def user_of(row: Mapping[Any, Any]) -> User:
    """Read a row of `with_roles`, or a record of the driver's with the same columns."""
    columns = dict(row)
    roles = columns.pop("roles")
    return User(roles=frozenset(roles or ()), **columns)


async def _one(tx: Transaction, statement: sa.Executable) -> User | None:
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else user_of(row._mapping)  # noqa: SLF001 - its public name
