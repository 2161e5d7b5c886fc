"""Global revocation: nobody is logged in any more, and no token given before is good (D25)."""

import asyncio
from dataclasses import dataclass

from prometheus_client import Counter

from chassis.caller import Caller, Principal
from chassis.logs import get_logger
from chassis.metrics import Metrics
from contracts.token import SessionsRevoked
from services.token.domain.keys import RevokedKey
from services.token.repository.epochs import GlobalRevocation, begin_epoch
from services.token.service.administration import require_admin
from services.token.service.key_operations import Author, KeyOperations
from services.token.service.signing_keys import SigningKeys

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What a global revocation did at once."""

    revocation: GlobalRevocation
    keys: tuple[RevokedKey, ...]


class GlobalRevoking:
    """Revokes everything in one small transaction, however many sessions there are.

    A new epoch leaves every session dead; every key that has signed a living token is revoked, by
    which gateways refuse the tokens. *wanted* is set to have the sessions ended one by one.
    """

    def __init__(
        self, *, keys: SigningKeys, wanted: asyncio.Event | None = None, metrics: Metrics
    ) -> None:
        self._keys = keys
        self._operations = KeyOperations(keys)
        self._wanted = wanted or asyncio.Event()
        self._revocations = Counter(
            "gatehouse_token_global_revocations",
            "How often everybody was logged out.",
            registry=metrics.registry,
        )

    async def revoke_all(self, reason: str, principal: Principal, *, caller: Caller) -> Revoked:
        """End every session, the caller's too, at an administrator's wish. Raises RoleRequired."""
        async with self._keys.database.transaction() as tx:
            await require_admin(tx, principal)
        return await self.revoke(reason, Author(caller=caller))

    async def revoke(self, reason: str, author: Author) -> Revoked:
        """End every session and every token. Raises DatabaseUnavailable."""
        fresh = await self._keys.generate()
        actor = author.actor or (author.caller.actor if author.caller else None)
        async with self._keys.database.transaction() as tx:
            found = await self._keys.lock(tx)
            keys = await self._operations.revoke_used(tx, found, reason, author, fresh=fresh)
            revocation = await begin_epoch(tx, reason=reason, actor=actor, now=found.now)
            fact = SessionsRevoked(
                epoch=revocation.epoch, revoked_at=revocation.revoked_at, reason=reason
            )
            await self._keys.outbox.emit(
                tx, fact, subject=str(revocation.epoch), caller=author.caller, actor=author.actor
            )
        self._revocations.inc()
        log.warning("sessions.revoked_globally", epoch=revocation.epoch, keys=len(keys))
        self._wanted.set()
        await self._keys.load()
        return Revoked(revocation=revocation, keys=keys)
