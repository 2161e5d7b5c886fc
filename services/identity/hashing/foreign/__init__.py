"""Hashes of other systems: read strictly, bounded in cost, verified, replaced at login (D4).

Whoever hands us a hash chooses what verifying it costs. Each scheme has a bound of about a second
of one core and 100 MiB, checked before anything is computed.
"""

from services.identity.hashing.foreign import argon2, bcrypt, pbkdf2, scrypt
from services.identity.hashing.foreign.scheme import StoredHash, UnreadableHash

__all__ = ["StoredHash", "UnreadableHash", "read_hash"]

_SCHEMES = (argon2.read, bcrypt.read, pbkdf2.read, scrypt.read)


def read_hash(text: str) -> StoredHash:
    """Return the hash in *text*. Raises UnreadableHash when it is none or costs too much."""
    for read in _SCHEMES:
        found = read(text)
        if found is not None:
            return found
    raise UnreadableHash("hash_unsupported")
