"""Replacing a signing key before its time: in stages, or at once (D11).

Who may do so is asked elsewhere: `key_administration` asks for the role, the operator's command is
on the machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.caller import Caller
from chassis.database import Transaction
from chassis.logs import get_logger
from contracts.token import SigningKeyRevoked, SigningKeyRotationRequested
from services.token.domain.keys import (
    KeyLife,
    RevokedKey,
    RotationPolicy,
    find_active,
    find_successor,
)
from services.token.errors import SigningKeyMissing, SigningKeyNotFound
from services.token.keys import SigningKey
from services.token.repository import revoked_keys
from services.token.repository import signing_keys as rows
from services.token.service.signing_keys import KeysRead, SigningKeys

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who asks: a caller of the API, or *actor* where there is none."""

    caller: Caller | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All keys, oldest first, and the revoked ones, newest first."""

    found: KeysRead
    revoked: Sequence[RevokedKey]
    policy: RotationPolicy

    @property
    def hands_over_at(self) -> datetime | None:
        """Return when another key is to sign; None when none signs now."""
        active = find_active(self.found.lives)
        successor = find_successor(self.found.lives, self.policy)
        if active is None:
            return None
        return self.policy.hands_over_at(active, successor, now=self.found.now)

    def leaves_at(self, life: KeyLife) -> datetime | None:
        """Return when a retired key leaves the JWKS."""
        return self.policy.gone_at(life)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedRotation:
    """Which key is to sign, instead of which, and from when on."""

    kid: str
    successor_kid: str
    signs_at: datetime


class KeyOperations:
    """What can be done to signing keys by hand."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    async def overview(self) -> Overview:
        """Return what there is. Raises DatabaseUnavailable."""
        async with self._keys.database.transaction() as tx:
            found = await self._keys.read(tx)
            revoked = await revoked_keys.list_revoked(tx)
        return Overview(found=found, revoked=revoked, policy=self._keys.policy)

    async def rotate(self, author: Author) -> RequestedRotation:
        """Publish a successor now, which signs as soon as everybody knows it.

        Asked again before that, it changes nothing. Raises SigningKeyMissing, DatabaseUnavailable.
        """
        fresh = await self._keys.generate()
        async with self._keys.database.transaction() as tx:
            found = await self._keys.lock(tx)
            active, successor = self._pair(found)
            if active is None:
                raise SigningKeyMissing(retry_after=1)
            if successor is None:
                await self._keys.add(tx, fresh, state="published", now=found.now)
            wanted = RequestedRotation(
                kid=active.kid,
                successor_kid=successor.kid if successor else fresh.kid,
                signs_at=self._signs_at(found, successor),
            )
            if active.due_at is None:
                await rows.mark_due(tx, active.kid, now=found.now)
                await self._tell_requested(tx, wanted, author)
        await self._keys.load()
        return wanted

    async def revoke(self, kid: str, reason: str, author: Author) -> RevokedKey:
        """Take a key away at once; if it signed, another one signs at once.

        Repeated, it answers the same. Raises SigningKeyNotFound, DatabaseUnavailable.
        """
        fresh = await self._keys.generate()
        async with self._keys.database.transaction() as tx:
            found = await self._keys.lock(tx)
            revoked = await revoked_keys.find_revoked(tx, kid)
            if revoked is None:
                revoked = await self._revoke(tx, found, kid, reason, fresh)
                await self._tell_revoked(tx, revoked, author)
        await self._keys.load()
        return revoked

    async def revoke_used(
        self, tx: Transaction, found: KeysRead, reason: str, author: Author, *, fresh: SigningKey
    ) -> tuple[RevokedKey, ...]:
        """Take away every key that has signed, for a caller who has locked and *found* them.

        One that is published and has never signed may take over, else *fresh* does.
        """
        used = [life.kid for life in found.lives if life.state != "published"]
        revoked = [await self._revoke(tx, found, kid, reason, fresh) for kid in used]
        for key in revoked:
            await self._tell_revoked(tx, key, author)
        return tuple(revoked)

    async def _revoke(
        self, tx: Transaction, found: KeysRead, kid: str, reason: str, fresh: SigningKey
    ) -> RevokedKey:
        life = next((life for life in found.lives if life.kid == kid), None)
        if life is None:
            raise SigningKeyNotFound
        await rows.delete_keys(tx, [kid])
        successor = await self._replace(tx, found, fresh) if life.state == "active" else None
        revoked = RevokedKey(
            kid=kid,
            algorithm=life.algorithm,
            published_at=life.published_at,
            activated_at=life.activated_at,
            retired_at=life.retired_at,
            revoked_at=found.now,
            successor=successor,
            reason=reason,
        )
        await revoked_keys.add_revoked(tx, revoked)
        return revoked

    async def _replace(self, tx: Transaction, found: KeysRead, fresh: SigningKey) -> str:
        """Have another key sign now: one that is known already, if this process can use it."""
        _, successor = self._pair(found)
        if successor and self._keys.ring.opens(found.get(successor.kid)):
            await rows.mark_active(tx, successor.kid, now=found.now)
            return successor.kid
        await self._keys.add(tx, fresh, state="active", now=found.now)
        return fresh.kid

    def _pair(self, found: KeysRead) -> tuple[KeyLife | None, KeyLife | None]:
        """Return the key that signs and the one that does next."""
        return find_active(found.lives), find_successor(found.lives, self._keys.policy)

    def _signs_at(self, found: KeysRead, successor: KeyLife | None) -> datetime:
        published_at = successor.published_at if successor else found.now
        return max(found.now, published_at + self._keys.policy.publish_ahead)

    async def _tell_requested(
        self, tx: Transaction, wanted: RequestedRotation, author: Author
    ) -> None:
        fact = SigningKeyRotationRequested(
            kid=wanted.kid, successor_kid=wanted.successor_kid, signs_at=wanted.signs_at
        )
        await self._keys.outbox.emit(
            tx, fact, subject=wanted.kid, caller=author.caller, actor=author.actor
        )
        tx.after_commit(
            lambda: log.info("signing_key.rotation_requested", signs_at=wanted.signs_at.isoformat())
        )

    async def _tell_revoked(self, tx: Transaction, revoked: RevokedKey, author: Author) -> None:
        fact = SigningKeyRevoked(
            kid=revoked.kid, successor_kid=revoked.successor, reason=revoked.reason
        )
        await self._keys.outbox.emit(
            tx, fact, subject=revoked.kid, caller=author.caller, actor=author.actor
        )
        if revoked.successor:
            await self._keys.tell_rotated(tx, revoked.successor, revoked.kid, author.caller)
        tx.after_commit(
            lambda: log.warning("signing_key.revoked", kid=revoked.kid, successor=revoked.successor)
        )
