"""Moving stored private keys under a new key-encryption key, so that the old one can go."""

from collections.abc import Collection

from chassis.crypto import SealBrokenError
from chassis.database import Transaction
from chassis.logs import get_logger
from services.token.keys import StoredKey
from services.token.repository import signing_keys as rows
from services.token.service.signing_keys import KeysRead, SigningKeys

log = get_logger(__name__)


class Resealing:
    """Seals under the first encryption key what lies under another one.

    During a rolling restart replicas differ about which one is first. So each leaves a key alone
    that it has once seen under its own first: none undoes what a newer one has done.
    """

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._settled: set[str] = set()

    async def reseal(self, found: KeysRead) -> int:
        """Seal anew what has to be; return how many keys. Raises DatabaseUnavailable."""
        first, ring = self._keys.ring.first_encryption_key, self._keys.ring
        sealed = {key.life.kid: key.sealed_under for key in found.keys if key.sealed_under}
        self._settled &= sealed.keys()
        self._settled |= {kid for kid, under in sealed.items() if under == first}
        due = sealed.keys() - self._settled - ring.unopened
        return await self._reseal(due) if due else 0

    async def _reseal(self, due: Collection[str]) -> int:
        first, resealed = self._keys.ring.first_encryption_key, list[str]()
        async with self._keys.database.transaction() as tx:
            for key in (await self._keys.lock(tx)).keys:
                wanted = key.life.kid in due and key.sealed_under not in (None, first)
                if wanted and await self._moved(tx, key):
                    resealed.append(key.life.kid)
        self._settled.update(due)
        if resealed:
            log.info("signing_keys.resealed", kids=resealed, encryption_key=first)
        return len(resealed)

    async def _moved(self, tx: Transaction, key: StoredKey) -> bool:
        try:
            sealed = key.resealed(self._keys.encryption_keys)
        except SealBrokenError:  # opened once, and since moved under a key unknown here
            return False
        await rows.mark_resealed(tx, key.life.kid, sealed)
        return True
