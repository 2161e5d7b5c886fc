"""Authority over accounts: who may see and touch which, asked in the transaction that does it."""

from uuid import UUID

from chassis.caller import Principal
from chassis.database import Transaction
from services.identity.domain.accounts import Role, User, may_moderate
from services.identity.errors import RoleRequired, UnknownUser
from services.identity.repository import users

ADMINISTERING = frozenset({Role.ADMIN})
MODERATING = frozenset({Role.ADMIN, Role.MODERATOR})


async def visible(
    tx: Transaction, principal: Principal, user_id: UUID, any_of: frozenset[Role]
) -> User:
    """Return the account if the caller has one of the roles and may see it; locks nothing.

    Raises RoleRequired, UnknownUser.
    """
    roles = await roles_of(tx, principal, any_of)
    user = await users.find(tx, user_id)
    if user is None or not may_moderate(roles, user.roles):
        raise UnknownUser
    return user


async def held(tx: Transaction, user_id: UUID, *, renames: bool = False) -> User:
    """Return the account, its row locked as by `find_for_update`. Raises UnknownUser."""
    user = await users.find_for_update(tx, user_id, renames=renames)
    if user is None:
        raise UnknownUser
    return user


async def roles_of(
    tx: Transaction, principal: Principal, any_of: frozenset[Role]
) -> frozenset[str]:
    """Return the roles the caller has by token and by database. Raises RoleRequired."""
    allowed = principal.roles.intersection(any_of)
    if allowed:
        actor = await users.find(tx, principal.user_id)
        if actor is not None and actor.is_usable:
            allowed &= actor.roles
        else:
            allowed = frozenset()
    if not allowed:
        raise RoleRequired
    return allowed
