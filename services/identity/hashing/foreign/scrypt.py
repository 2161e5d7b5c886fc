"""scrypt (RFC 7914), as passlib and PHC (`$scrypt$ln=16,r=8,p=1$salt$hash`) and Django write it.

Django's is `scrypt$16384$salt$8$1$hash` with a text for a salt. Firebase's scrypt is another
algorithm and not read.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

from services.identity.hashing.foreign.scheme import (
    MAX_MEMORY_KIB,
    decode_digest,
    decode_salt,
    require,
)

_FORM = re.compile(
    r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,4}),p=(?P<p>\d{1,4})"
    r"\$(?P<salt>[^$]+)\$(?P<digest>[^$]+)"
)
_DJANGO = re.compile(
    r"scrypt\$(?P<n>\d{1,10})\$(?P<salt>[^$]{1,128})"
    r"\$(?P<r>\d{1,4})\$(?P<p>\d{1,4})\$(?P<digest>[^$]+)"
)
_MAX_LN = 31
_MAX_BYTES = MAX_MEMORY_KIB * 1024
_MAX_WORK = 4 * _MAX_BYTES
_MAX_R, _MAX_P = 32, 16
_SLACK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptHash:
    """One hash of cost *n*, block size *r* and parallelism *p*."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def verify(self, password: bytes) -> bool:
        """Say whether *password* made it."""
        made = hashlib.scrypt(
            password,
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=128 * self.r * (self.n + self.p + 2) + _SLACK,
            dklen=len(self.digest),
        )
        return hmac.compare_digest(made, self.digest)


def read(text: str) -> ScryptHash | None:
    """Return the hash, None for another scheme. Raises UnreadableHash."""
    if not text.startswith(("$scrypt$", "scrypt$")):
        return None
    match = _FORM.fullmatch(text)
    django = None if match else _DJANGO.fullmatch(text)
    found = match or django
    require(found, "hash_malformed")
    if found is None:
        return None
    n = int(found["n"]) if django else 1 << min(int(found["ln"]), _MAX_LN)
    r, p = int(found["r"]), int(found["p"])
    require(n > 1 and n & (n - 1) == 0 and r and p, "hash_malformed")
    # RFC 7914 §2: N must be less than 2^(128 r / 8), which no affordable one reaches.
    block = 128 * n * r
    affordable = block <= _MAX_BYTES and block * p <= _MAX_WORK and r <= _MAX_R and p <= _MAX_P
    require(affordable, "hash_too_expensive")
    salt = found["salt"].encode() if django else decode_salt(found["salt"])
    return ScryptHash(n=n, r=r, p=p, salt=salt, digest=decode_digest(found["digest"]))
