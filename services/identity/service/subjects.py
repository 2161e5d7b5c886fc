"""Subjects: the state of one account, as token asks for it when its own copy is old (D24)."""

from uuid import UUID

from chassis.database import Database
from contracts.internal import Subject
from services.identity.errors import UnknownUser
from services.identity.repository import users


class Subjects:
    """Answers token's `subjects`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: UUID) -> Subject:
        """Return roles, status and version of the account. Raises UnknownUser."""
        async with self._database.transaction() as tx:
            user = await users.find(tx, user_id)
        if user is None:
            raise UnknownUser
        return Subject(
            user_id=user.id,
            roles=tuple(sorted(user.roles)),
            status=user.status,
            version=user.version,
        )
