"""Tokens that were verified once: a bounded cache, indexed by what ends them (D12)."""

from collections.abc import Iterable
from hashlib import sha256
from itertools import islice
from typing import Final

from chassis.clock import Clock
from chassis.jwt import MAX_LEEWAY, AccessToken

MAX_TOKENS: Final = 20_000

_PARTS: Final = 64


class VerifiedTokens:
    """Remembers verified tokens by the digest of their text; the oldest goes first.

    Whether the deny list names a remembered token is asked on every use, elsewhere.
    """

    def __init__(self, clock: Clock, max_tokens: int = MAX_TOKENS) -> None:
        self._clock = clock
        self._max_tokens = max_tokens
        self._tokens: dict[bytes, AccessToken] = {}
        self._by_sid = _Index()
        self._by_jti = _Index()

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, key: bytes) -> AccessToken | None:
        """Return the claims of a token verified before that has not run out, by its digest."""
        token = self._tokens.get(key)
        if token is not None and token.exp + MAX_LEEWAY <= self._clock.now():
            self._drop(key)
            return None
        return token

    def add(self, key: bytes, token: AccessToken) -> None:
        """Remember *token*, which the text of that digest was verified to be."""
        if len(self._tokens) >= self._max_tokens:
            self._drop_oldest()
        self._tokens[key] = token
        self._by_sid.add(token.sid, key)
        self._by_jti.add(token.jti, key)

    def drop(self, kind: str, value: str) -> None:
        """Drop every token whose `kid`, `sid`, `sub` or `jti` (*kind*) is *value*."""
        for key in self._keys_of(kind, value):
            self._drop(key)

    def _keys_of(self, kind: str, value: str) -> Iterable[bytes]:
        """Return a copy, so that it can be dropped by."""
        if kind == "jti":
            return self._by_jti.find(value)
        if kind == "sid":
            return self._by_sid.find(value)
        # Both are looked for: a key goes once in months, and of a subject it is the deny list that
        # knows which tokens are dead.
        tokens = self._tokens.items()
        if kind == "kid":
            return [key for key, token in tokens if token.kid == value]
        return [key for key, token in tokens if token.sub == value]

    def _drop_oldest(self) -> None:
        """Make room for many: to find the first of a dictionary is slow where others were first."""
        for key in tuple(islice(self._tokens, 1 + self._max_tokens // _PARTS)):
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        token = self._tokens.pop(key, None)
        if token is None:
            return
        self._by_sid.discard(token.sid, key)
        self._by_jti.discard(token.jti, key)


class _Index:
    """Keys by a name of theirs: mostly one, and a set around it would be ten times as large."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes | set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, name: str, key: bytes) -> None:
        known = self._keys.setdefault(name, key)
        if isinstance(known, set):
            known.add(key)
        elif known != key:
            self._keys[name] = {known, key}

    def find(self, name: str) -> Iterable[bytes]:
        known = self._keys.get(name, b"")
        if isinstance(known, set):
            return tuple(known)
        return (known,) if known else ()

    def discard(self, name: str, key: bytes) -> None:
        known = self._keys.get(name)
        if isinstance(known, set):
            known.discard(key)
        if not known or known == key:
            self._keys.pop(name, None)


def names_of(token: AccessToken) -> Iterable[str]:
    """Return by which names what *token* opened can be ended: `kid`, `sid`, `sub` and `jti`."""
    return (f"kid:{token.kid}", f"sid:{token.sid}", f"sub:{token.sub}", f"jti:{token.jti}")


def digest_of(text: str) -> bytes:
    """Return by what a token is remembered.

    Not the text itself: a copy of this process's memory should hold few usable tokens.
    """
    return sha256(text.encode()).digest()
