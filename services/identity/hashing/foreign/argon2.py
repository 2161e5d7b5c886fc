"""Argon2i, Argon2d and Argon2id of any cost up to a bound: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.

Django writes `argon2` before it.
"""

import re
from dataclasses import dataclass

import argon2
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, verify_secret

from services.identity.hashing.foreign.scheme import (
    MAX_MEMORY_KIB,
    decode_digest,
    decode_salt,
    require,
)

_FORM = re.compile(
    r"(?:argon2)?(?P<phc>\$argon2(?P<kind>id|i|d)\$v=(?:16|19)\$m=(?P<memory>\d{1,10}),"
    r"t=(?P<passes>\d{1,10}),p=(?P<lanes>\d{1,5})\$(?P<salt>[^$]+)\$(?P<digest>[^$]+))"
)
_TYPES = {"id": Type.ID, "i": Type.I, "d": Type.D}
_MAX_WORK = 8 * MAX_MEMORY_KIB
"""KiB times passes: 0.6 s of one core where our own hash takes 0.03."""
_MAX_LANES = 16


@dataclass(frozen=True, slots=True)
class Argon2Hash:
    """One hash in PHC form."""

    phc: str
    type: Type

    def verify(self, password: bytes) -> bool:
        """Say whether *password* made it."""
        try:
            return verify_secret(self.phc.encode(), password, self.type)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, hasher: argon2.PasswordHasher) -> bool:
        """Say whether *hasher* would make another kind or cost."""
        return hasher.check_needs_rehash(self.phc)


def read(text: str) -> Argon2Hash | None:
    """Return the hash, None for another scheme. Raises UnreadableHash."""
    if not text.startswith(("$argon2", "argon2$")):
        return None
    match = _FORM.fullmatch(text)
    require(match, "hash_malformed")
    if match is None:
        return None
    memory, passes, lanes = (int(match[name]) for name in ("memory", "passes", "lanes"))
    require(lanes and passes and memory >= 8 * lanes, "hash_malformed")
    affordable = memory <= MAX_MEMORY_KIB and memory * passes <= _MAX_WORK and lanes <= _MAX_LANES
    require(affordable, "hash_too_expensive")
    decode_salt(match["salt"])
    decode_digest(match["digest"])
    return Argon2Hash(match["phc"], _TYPES[match["kind"]])
