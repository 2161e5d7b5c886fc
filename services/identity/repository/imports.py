"""Accounts from elsewhere: many in a few statements, those that are there already left alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from services.identity.domain.accounts import NewUser
from services.identity.models import user_roles, users
from services.identity.repository import names


async def add_all(
    tx: Transaction, accounts: Sequence[NewUser], *, now: datetime, granted_by: UUID
) -> frozenset[UUID]:
    """Store the accounts whose names are free, with their roles; return the ids of these."""
    rows = [
        {
            "id": account.id,
            "email": account.email,
            "email_folded": account.email_folded,
            "username": account.username,
            "password_hash": account.password_hash,
            "is_verified": account.is_verified,
            "password_reset_required": account.password_reset_required,
            "created_at": account.created_at,
            "unverified_since": None if account.is_verified else now,
        }
        for account in accounts
    ]
    statement = insert(users).values(rows).on_conflict_do_nothing().returning(users.c.id)
    added = {row.id for row in (await tx.execute(statement)).all()}
    added -= await _remove_held(tx, [user for user in accounts if user.id in added], now)
    roles = [
        {"user_id": account.id, "role": str(role), "granted_at": now, "granted_by": granted_by}
        for account in accounts
        if account.id in added
        for role in sorted(account.roles)
    ]
    if roles:
        await tx.execute(insert(user_roles).values(roles))
    return frozenset(added)


async def _remove_held(
    tx: Transaction, accounts: Sequence[NewUser], now: datetime
) -> frozenset[UUID]:
    """Take back accounts whose names are kept for somebody; return their ids."""
    held = await names.list_held(
        tx,
        emails_folded=[account.email_folded for account in accounts],
        usernames=[account.username for account in accounts],
        now=now,
    )
    ids = frozenset(
        account.id for account in accounts if held & {account.email_folded, account.username}
    )
    if ids:
        await tx.execute(sa.delete(users).where(users.c.id.in_(ids)))
    return ids


async def find_by_emails(tx: Transaction, folded: Sequence[str]) -> Mapping[str, UUID]:
    """Return the ids of the accounts that have these folded addresses, by address."""
    statement = sa.select(users.c.email_folded, users.c.id).where(users.c.email_folded.in_(folded))
    return {row.email_folded: row.id for row in (await tx.execute(statement)).all()}
