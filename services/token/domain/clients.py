"""Confidential clients: the secrets they prove themselves with, and what each may do."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Self

from chassis.crypto import b64decode, b64encode

TokenKind = Literal["access_token", "refresh_token"]
"""A kind of token as hints name it (RFC 7009 §2.1)."""

SECRET_PREFIX = "gh_cs_"

_RANDOM_BYTES = 32
_SALT_BYTES = 16
_FORM = re.compile(rf"{SECRET_PREFIX}[A-Za-z0-9_-]{{43}}")
_SCHEME = "sha256"

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret that a client holds; only its digest is ever stored."""

    text: str = field(repr=False)

    @classmethod
    def new(cls, random_bytes: RandomBytes = secrets.token_bytes) -> Self:
        """Make one with 256 random bits."""
        return cls(SECRET_PREFIX + b64encode(random_bytes(_RANDOM_BYTES)))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return *text* as a secret, or None for what this platform never made.

        So nobody can have a secret that is guessed, whatever a digest was made of.
        """
        return cls(text) if _FORM.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """What is stored of a secret: `sha256:<salt>:<SHA-256 of salt and secret>`, in base64url."""

    salt: bytes
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: ClientSecret, random_bytes: RandomBytes = secrets.token_bytes) -> Self:
        """Return the digest of *secret* under a new salt."""
        salt = random_bytes(_SALT_BYTES)
        return cls(salt, _digest(salt, secret))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the stored form. Raises ValueError, which does not repeat *text*."""
        scheme, _, rest = text.partition(":")
        try:
            salt, digest = (b64decode(part) for part in rest.split(":"))
        except ValueError:
            raise ValueError("is not a digest of a secret") from None
        fits = len(salt) == _SALT_BYTES and len(digest) == hashlib.sha256().digest_size
        if scheme != _SCHEME or not fits:
            raise ValueError("is not a digest of a secret")
        return cls(salt, digest)

    def matches(self, secret: ClientSecret) -> bool:
        """Say whether it is the digest of *secret*, in a time that tells nothing."""
        return hmac.compare_digest(self.digest, _digest(self.salt, secret))

    def __str__(self) -> str:
        return f"{_SCHEME}:{b64encode(self.salt)}:{b64encode(self.digest)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that operators let ask about tokens, or revoke them.

    `audiences` are those whose tokens it may see and revoke, `introspects` the kinds it may ask
    about. Any of its `digests` will do, so that a secret can be replaced without an outage.
    """

    client_id: str
    name: str
    digests: tuple[SecretDigest, ...]
    audiences: frozenset[str]
    introspects: frozenset[TokenKind] = frozenset()
    revokes: bool = False

    @property
    def actor(self) -> str:
        """Return what events call it; no user's id looks like that."""
        return f"client:{self.client_id}"

    def has(self, secret: ClientSecret) -> bool:
        """Say whether *secret* is one of its own."""
        return any(digest.matches(secret) for digest in self.digests)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What a request says to prove which client it comes from (RFC 6749 §2.3.1)."""

    client_id: str
    secret: str = field(repr=False)


def _digest(salt: bytes, secret: ClientSecret) -> bytes:
    return hashlib.sha256(salt + secret.text.encode()).digest()
