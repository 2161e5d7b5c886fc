"""What administrators ask of the accounts, and the guard over the last of them."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from chassis.paging import Page, write_cursor
from services.identity.domain.accounts import PLAIN_ROLES, Role, User
from services.identity.models import bootstrap_marker, user_roles, users
from services.identity.repository.users import add_roles, user_of, with_roles

# Whoever takes an administrator away, or makes the first one, holds this lock until the commit.
_ADMINISTRATORS_LOCK = 0x67617465_0101


async def lock_administrators(tx: Transaction) -> None:
    """Wait until nobody else changes who administers."""
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADMINISTRATORS_LOCK)))


async def count_other_administrators(tx: Transaction, user_id: UUID) -> int:
    """Count who could still administer without *user_id*."""
    statement = (
        sa.select(sa.func.count())
        .select_from(users.join(user_roles))
        .where(
            user_roles.c.role == str(Role.ADMIN),
            users.c.id != user_id,
            sa.not_(users.c.is_locked),
            sa.not_(users.c.is_disabled),
            users.c.is_verified,
        )
    )
    return int(await tx.scalar(statement))


async def has_ever_had_administrator(tx: Transaction) -> bool:
    """Say whether there is, or has been, an administrator."""
    marked = sa.exists().select_from(bootstrap_marker)
    present = sa.exists().where(user_roles.c.role == str(Role.ADMIN))
    return bool(await tx.scalar(sa.select(sa.or_(marked, present))))


async def mark_bootstrapped(tx: Transaction, *, now: datetime) -> None:
    """Remember that there has been an administrator."""
    statement = insert(bootstrap_marker).values(id=1, created_at=now)
    await tx.execute(statement.on_conflict_do_nothing())


async def replace_roles(
    tx: Transaction, user_id: UUID, roles: Collection[str], *, now: datetime, granted_by: UUID
) -> None:
    """Give the account exactly *roles*."""
    where = (user_roles.c.user_id == user_id, user_roles.c.role.not_in(list(roles)))
    await tx.execute(sa.delete(user_roles).where(*where))
    await add_roles(tx, user_id, roles, now=now, granted_by=granted_by)


async def list_users(
    tx: Transaction,
    *,
    search: str | None,
    role: str | None,
    only_plain: bool,
    limit: int,
    after: UUID | None,
) -> Page[User]:
    """Return accounts in the order they were made.

    *search* is the beginning of an address or username; *only_plain* leaves out everybody with
    another role than `user`.
    """
    statement = with_roles
    if search:
        pattern = _escaped(search) + "%"
        statement = statement.where(
            sa.or_(users.c.email_folded.like(pattern), users.c.username.like(pattern))
        )
    if role is not None:
        statement = statement.where(_has_role(role))
    if only_plain:
        statement = statement.where(_has_role(Role.USER), sa.not_(_has_other_role()))
    if after is not None:
        statement = statement.where(users.c.id > after)
    rows = (await tx.execute(statement.order_by(users.c.id).limit(limit + 1))).all()
    found = [user_of(row._mapping) for row in rows[:limit]]  # noqa: SLF001 - its public name
    return Page(found, write_cursor(found[-1].id) if len(rows) > limit else None)


def _has_role(role: str) -> sa.ColumnElement[bool]:
    return sa.exists().where(user_roles.c.user_id == users.c.id, user_roles.c.role == str(role))


def _has_other_role() -> sa.ColumnElement[bool]:
    plain = [str(role) for role in PLAIN_ROLES]
    return sa.exists().where(user_roles.c.user_id == users.c.id, user_roles.c.role.not_in(plain))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
