"""PBKDF2 with SHA-256 or SHA-512 (RFC 8018 §5.2), as passlib, PHC and Django write it.

`$pbkdf2-sha512$29000$salt$hash`, `$pbkdf2-sha256$i=600000$salt$hash` and
`pbkdf2_sha256$600000$salt$hash`; Django's salt is text, the others are Base64.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from math import ceil

from services.identity.hashing.foreign.scheme import decode_digest, decode_salt, require

_FORM = re.compile(
    r"\$pbkdf2-(?P<name>sha256|sha512)\$(?:i=)?(?P<rounds>\d{1,10})(?:,l=\d{1,3})?"
    r"\$(?P<salt>[^$]+)\$(?P<digest>[^$]+)"
)
_DJANGO = re.compile(
    r"pbkdf2_(?P<name>sha256|sha512)\$(?P<rounds>\d{1,10})"
    r"\$(?P<salt>[^$]{1,128})\$(?P<digest>[^$]+)"
)
_MAX_ROUNDS = 2_000_000
"""Times the blocks of the digest: about a second of one core with SHA-512."""


@dataclass(frozen=True, slots=True)
class Pbkdf2Hash:
    """One hash by the hash function *name*."""

    name: str
    rounds: int
    salt: bytes
    digest: bytes

    def verify(self, password: bytes) -> bool:
        """Say whether *password* made it."""
        length = len(self.digest)
        made = hashlib.pbkdf2_hmac(self.name, password, self.salt, self.rounds, dklen=length)
        return hmac.compare_digest(made, self.digest)


def read(text: str) -> Pbkdf2Hash | None:
    """Return the hash, None for another scheme. Raises UnreadableHash."""
    if not text.startswith(("$pbkdf2-sha", "pbkdf2_sha")):
        return None
    match = _FORM.fullmatch(text)
    django = None if match else _DJANGO.fullmatch(text)
    found = match or django
    require(found, "hash_malformed")
    if found is None:
        return None
    salt = found["salt"].encode() if django else decode_salt(found["salt"])
    digest, rounds = decode_digest(found["digest"]), int(found["rounds"])
    require(rounds, "hash_malformed")
    blocks = ceil(len(digest) / hashlib.new(found["name"]).digest_size)
    require(rounds * blocks <= _MAX_ROUNDS, "hash_too_expensive")
    return Pbkdf2Hash(found["name"], rounds, salt, digest)
