"""Making and verifying password hashes: Argon2id, an optional pepper, imported bcrypt."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import argon2
import bcrypt
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from chassis.crypto import b64encode
from chassis.logs import get_logger

log = get_logger(__name__)

# `$pepper$<key id>` stands before the PHC string of a peppered hash.
_PEPPER_MARK = "$pepper$"
_BCRYPT_MARKS = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES = 72


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
    """Hashes with Argon2id (RFC 9106) and verifies that and imported bcrypt hashes.

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
        if stored.startswith(_BCRYPT_MARKS):
            return _verify_bcrypt(stored, password)
        key_id, phc = _split(stored)
        if key_id is not None:
            if key_id not in self._peppers:
                log.error("password_hash.unreadable", reason="unknown_pepper")
                return Verdict.WRONG
            password = self._peppered(key_id, password)
        return self._verify_argon2(phc, password, is_current=key_id == self._current)

    def _verify_argon2(self, phc: str, password: str, *, is_current: bool) -> Verdict:
        try:
            self._argon2.verify(phc, password)
        except InvalidHashError:
            log.error("password_hash.unreadable", reason="unknown_scheme")  # noqa: TRY400 - a trace would show the hash
            return Verdict.WRONG
        except VerificationError:
            return Verdict.WRONG
        outdated = not is_current or self._argon2.check_needs_rehash(phc)
        return Verdict.OUTDATED if outdated else Verdict.RIGHT

    def _peppered(self, key_id: str, password: str) -> str:
        return b64encode(hmac.digest(self._peppers[key_id], password.encode(), hashlib.sha256))


def _split(stored: str) -> tuple[str | None, str]:
    if not stored.startswith(_PEPPER_MARK):
        return None, stored
    key_id, _, phc = stored.removeprefix(_PEPPER_MARK).partition("$")
    return key_id, f"${phc}"


def _verify_bcrypt(stored: str, password: str) -> Verdict:
    """Verify as the system it came from did: bcrypt never saw more than 72 bytes."""
    try:
        right = bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], stored.encode())
    except ValueError:
        log.error("password_hash.unreadable", reason="not_bcrypt")  # noqa: TRY400 - as above
        return Verdict.WRONG
    return Verdict.OUTDATED if right else Verdict.WRONG
