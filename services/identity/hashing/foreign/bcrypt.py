"""bcrypt: `$2a$`, `$2b$`, `$2y$`, and the two forms of Django.

Django writes `bcrypt$` before it, or `bcrypt_sha256$` when it hashed the SHA-256 of the password.
"""

import hashlib
import re
from dataclasses import dataclass

import bcrypt

from services.identity.hashing.foreign.scheme import require

_FORM = re.compile(
    r"(?P<django>bcrypt\$|bcrypt_sha256\$)?"
    r"(?P<hash>\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53})"
)
_COSTS = range(4, 15)
_BYTES = 72


@dataclass(frozen=True, slots=True)
class BcryptHash:
    """One hash; *digests*: of the password's SHA-256 in hexadecimal."""

    stored: bytes
    digests: bool

    def verify(self, password: bytes) -> bool:
        """Verify as the system it came from did: bcrypt never saw more than 72 bytes."""
        given = hashlib.sha256(password).hexdigest().encode() if self.digests else password
        return bcrypt.checkpw(given[:_BYTES], self.stored)


def read(text: str) -> BcryptHash | None:
    """Return the hash, None for another scheme. Raises UnreadableHash."""
    if not text.startswith(("$2", "bcrypt$", "bcrypt_sha256$")):
        return None
    match = _FORM.fullmatch(text)
    require(match, "hash_malformed")
    if match is None:
        return None
    cost = int(match["cost"])
    require(cost >= _COSTS.start, "hash_malformed")
    require(cost in _COSTS, "hash_too_expensive")
    return BcryptHash(match["hash"].encode(), match["django"] == "bcrypt_sha256$")
