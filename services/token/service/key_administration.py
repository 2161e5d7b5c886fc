"""Signing keys as administrators see and change them."""

from chassis.caller import Caller, Principal
from chassis.database import Database
from services.token.domain.keys import RevokedKey
from services.token.service.administration import require_admin
from services.token.service.key_operations import (
    Author,
    KeyOperations,
    Overview,
    RequestedRotation,
)


class KeyAdministration:
    """Asks for the role `admin`, as the caller's token has it and as token knows it since."""

    def __init__(self, database: Database, operations: KeyOperations) -> None:
        self._database = database
        self._operations = operations

    async def overview(self, principal: Principal) -> Overview:
        """Return what there is. Raises RoleRequired."""
        await self._require_admin(principal)
        return await self._operations.overview()

    async def rotate(self, principal: Principal, *, caller: Caller) -> RequestedRotation:
        """Have the active key replaced in stages. Raises RoleRequired, SigningKeyMissing."""
        await self._require_admin(principal)
        return await self._operations.rotate(Author(caller=caller))

    async def revoke(
        self, kid: str, reason: str, principal: Principal, *, caller: Caller
    ) -> RevokedKey:
        """Take a key away at once. Raises RoleRequired, SigningKeyNotFound."""
        await self._require_admin(principal)
        return await self._operations.revoke(kid, reason, Author(caller=caller))

    async def _require_admin(self, principal: Principal) -> None:
        async with self._database.transaction() as tx:
            await require_admin(tx, principal)
