"""Making and verifying password hashes: Argon2id, an optional pepper, those of other systems."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import argon2
from argon2.low_level import Type

from chassis.crypto import b64encode
from chassis.logs import get_logger
from services.identity.hashing.foreign import UnreadableHash, read_hash
from services.identity.hashing.foreign.argon2 import Argon2Hash

log = get_logger(__name__)

# `$pepper$<key id>` stands before the PHC string of a peppered hash.
_PEPPER_MARK = "$pepper$"


class Verdict(Enum):
    """What a verification found."""

    WRONG = "wrong"
    RIGHT = "right"
    OUTDATED = "outdated"
    """Right, but made by an older scheme, cost or pepper: hash it anew."""

    @property
    def is_right(self) -> bool:
        """Say whether the password was the one."""
        return self is not Verdict.WRONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Parameters:
    """The cost of one hash (OWASP's first choice): 30 ms and 19 MiB on the machine measured."""

    memory_kib: int = 19 * 1024
    passes: int = 2
    lanes: int = 1


class PasswordHasher:
    """Hashes with Argon2id (RFC 9106) and verifies that and the hashes of other systems.

    *peppers* are `(key id, secret)`: the first goes into new hashes, each verifies its own. These
    functions block for tens of milliseconds: run them in a HashPool.
    """

    def __init__(
        self, parameters: Argon2Parameters | None = None, peppers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        parameters = parameters or Argon2Parameters()
        self._argon2 = argon2.PasswordHasher(
            time_cost=parameters.passes,
            memory_cost=parameters.memory_kib,
            parallelism=parameters.lanes,
            hash_len=32,
            salt_len=16,
            type=Type.ID,
        )
        self._peppers = dict(peppers)
        self._current = peppers[0][0] if peppers else None

    def hash(self, password: str) -> str:
        """Return a new hash of *password* (normalised by the caller)."""
        if self._current is None:
            return self._argon2.hash(password)
        peppered = self._peppered(self._current, password)
        return f"{_PEPPER_MARK}{self._current}{self._argon2.hash(peppered)}"

    def verify(self, stored: str, password: str) -> Verdict:
        """Say whether *password* made *stored*. A hash nobody can read is WRONG, and logged."""
        key_id, text = _split(stored)
        if key_id is not None:
            if key_id not in self._peppers:
                log.error("password_hash.unreadable", reason="unknown_pepper")
                return Verdict.WRONG
            password = self._peppered(key_id, password)
        try:
            known = read_hash(text)
        except UnreadableHash as refusal:
            # A trace would show the hash.
            log.error("password_hash.unreadable", reason=refusal.reason)  # noqa: TRY400 - as said
            return Verdict.WRONG
        if not known.verify(password.encode()):
            return Verdict.WRONG
        is_ours = isinstance(known, Argon2Hash) and not known.is_outdated(self._argon2)
        return Verdict.RIGHT if is_ours and key_id == self._current else Verdict.OUTDATED

    def _peppered(self, key_id: str, password: str) -> str:
        return b64encode(hmac.digest(self._peppers[key_id], password.encode(), hashlib.sha256))


def _split(stored: str) -> tuple[str | None, str]:
    if not stored.startswith(_PEPPER_MARK):
        return None, stored
    key_id, _, phc = stored.removeprefix(_PEPPER_MARK).partition("$")
    return key_id, f"${phc}"
