"""The stored signing keys, and the steps by which any of them is changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.logs import get_logger
from chassis.outbox import Outbox
from contracts.token import SigningKeyRotated
from services.token.domain.keys import KeyLife, KeyState, RotationPolicy
from services.token.keys import KeyRing, SigningKey, StoredKey, generate_key
from services.token.repository import signing_keys as rows
from services.token.repository.epochs import read_epoch

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeysRead:
    """The keys as they lay in the database at *now*."""

    keys: Sequence[StoredKey]
    now: datetime

    @property
    def lives(self) -> list[KeyLife]:
        """Return where each of them stands."""
        return [key.life for key in self.keys]

    def get(self, kid: str) -> StoredKey:
        """Return the key of that name. Raises KeyError."""
        return {key.life.kid: key for key in self.keys}[kid]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeys:
    """The keys of the database, and the ring that this process signs and verifies with.

    *clock* None is the time of the database: a replica whose own is wrong must not hand over
    before everybody knows the successor.
    """

    database: Database
    outbox: Outbox
    ring: KeyRing
    policy: RotationPolicy
    encryption_keys: tuple[bytes, ...]
    clock: Clock | None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> KeysRead:
        """Make the ring equal to the database. Raises DatabaseUnavailable."""
        async with self._loading:  # what was read earlier must not be loaded later
            async with self.database.transaction() as tx:
                found = await self.read(tx)
                # After the keys: with those of before, an epoch that is too new does no harm.
                epoch = await read_epoch(tx)
            self.ring.load(found.keys, epoch=epoch)
        return found

    async def lock(self, tx: Transaction) -> KeysRead:
        """Return the keys; nobody else changes them until *tx* ends."""
        await rows.lock_rotation(tx)
        return await self.read(tx)

    async def read(self, tx: Transaction) -> KeysRead:
        """Return the keys, and what time it is."""
        keys = await rows.list_keys(tx)
        return KeysRead(keys, self.clock.now() if self.clock else await rows.database_time(tx))

    async def generate(self) -> SigningKey:
        """Make a key, before a lock is taken: RSA needs its time."""
        return await asyncio.to_thread(generate_key, self.policy.algorithm)

    async def add(
        self, tx: Transaction, key: SigningKey, *, state: KeyState, now: datetime
    ) -> None:
        """Store a new key, published or at once active."""
        sealed = key.sealed(self.encryption_keys)
        await rows.add_key(tx, key, sealed=sealed, state=state, now=now)
        tx.after_commit(lambda: log.info("signing_key.added", kid=key.kid, state=state))

    async def tell_rotated(
        self, tx: Transaction, kid: str, previous: str | None, caller: Caller | None
    ) -> None:
        """Say that another key signs from now on."""
        fact = SigningKeyRotated(kid=kid, previous_kid=previous)
        await self.outbox.emit(tx, fact, subject=kid, caller=caller)
        tx.after_commit(lambda: log.info("signing_key.rotated", kid=kid, previous_kid=previous))
