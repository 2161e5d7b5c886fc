"""The guard over the last administrator, also when two go at once."""

from uuid import UUID

from chassis.database import Transaction
from services.identity.domain.accounts import Role
from services.identity.errors import LastAdministrator
from services.identity.repository import administration, users


async def keep_one_administrator(tx: Transaction, leaving: UUID) -> None:
    """Refuse to let *leaving* go when nobody else could administer. Raises LastAdministrator.

    Must come before its transaction locks anything: whoever takes an administrator away waits
    here for the other who does, and then counts again.
    """
    user = await users.find(tx, leaving)
    if user is None or Role.ADMIN not in user.roles:
        return
    await administration.lock_administrators(tx)
    if await administration.count_other_administrators(tx, leaving) == 0:
        raise LastAdministrator
