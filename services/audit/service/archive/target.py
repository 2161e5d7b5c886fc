"""What archives are written to and read with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.crypto import KEY_BYTES, SealBrokenError, key_id, seal, unseal
from chassis.database import Transaction
from services.audit.archive_store import ArchiveStore
from services.audit.domain.archive.manifest import Signer
from services.audit.domain.archive.rows import PersonKey
from services.audit.errors import ArchiveUnavailable
from services.audit.repository.archive import keys

_KEY_ID_BYTES = 16
_RESEALED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """Keeps the keys of persons and partitions, sealed under *encryption_keys*.

    The first seals, all open. *new_bytes* returns as many random bytes as it is asked for. Reading
    raises ArchiveUnavailable for what was sealed under a key that is not in the list.
    """

    encryption_keys: Sequence[bytes]
    new_bytes: Callable[[int], bytes]

    async def ensure_partition(self, tx: Transaction, name: str) -> bytes:
        """Return the key of a partition that is being archived; make it the first time."""
        box = seal(self.encryption_keys, self.new_bytes(KEY_BYTES), context=_partition(name))
        await keys.add_partition(tx, name, box)
        return (await self.find_partitions(tx, [name]))[name]

    async def find_partitions(self, tx: Transaction, names: Sequence[str]) -> dict[str, bytes]:
        """Return the keys of those partitions that still have one."""
        found = await keys.list_partitions(tx, names)
        return {name: self._unseal(box, _partition(name)) for name, box in found.items()}

    async def ensure_persons(self, tx: Transaction, persons: set[UUID]) -> Mapping[UUID, PersonKey]:
        """Return the keys of *persons*, none of whom is erased; make those that are missing."""
        found = await keys.find_persons(tx, persons)
        missing = {person: self._new() for person in persons - found.keys()}
        if missing:
            await keys.add_persons(tx, missing)
            found = await keys.find_persons(tx, persons)
        return {
            person: PersonKey(key_id=name, key=self._unseal(box, _person(name)))
            for person, (name, box) in found.items()
        }

    async def find_by_id(self, tx: Transaction, names: set[bytes]) -> dict[bytes, bytes]:
        """Return the keys with these ids; those of erased persons are missing."""
        if not names:
            return {}
        found = await keys.list_by_id(tx, names)
        return {name: self._unseal(box, _person(name)) for name, box in found.items()}

    async def reseal(self, tx: Transaction) -> int:
        """Seal some keys anew that are not under the first encryption key; return how many."""
        prefix = f"{key_id(self.encryption_keys[0])}."
        old = await keys.list_sealed_otherwise(tx, prefix, limit=_RESEALED_AT_ONCE)
        for row, name, box in old:
            context = _partition(name) if isinstance(name, str) else _person(name)
            plain = self._unseal(box, context)
            again = seal(self.encryption_keys, plain, context=context)
            await keys.reseal(tx, row, was=box, now=again)
        return len(old)

    def _new(self) -> keys.PersonRow:
        name = self.new_bytes(_KEY_ID_BYTES)
        box = seal(self.encryption_keys, self.new_bytes(KEY_BYTES), context=_person(name))
        return name, box

    def _unseal(self, box: str, context: str) -> bytes:
        try:
            return unseal(self.encryption_keys, box, context=context)
        except SealBrokenError:
            raise ArchiveUnavailable("A key is under no ARCHIVE_KEY_ENCRYPTION_KEYS.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A store, with the keys that seal what goes there and that sign its manifests."""

    store: ArchiveStore
    ring: KeyRing
    signer: Signer


def _person(name: bytes) -> str:
    return f"archive key of a person {name.hex()}"


def _partition(name: str) -> str:
    return f"archive key of partition {name}"
