"""Tokens that were verified once: a bounded cache, indexed by what can end them (D12)."""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

from chassis.clock import Clock
from chassis.jwt import MAX_LEEWAY, AccessToken

MAX_TOKENS = 20_000


class VerifiedTokens:
    """Remembers verified tokens by the digest of their text; the oldest goes first.

    Whether the deny list names a remembered token is asked on every use, elsewhere.
    """

    def __init__(self, clock: Clock, max_tokens: int = MAX_TOKENS) -> None:
        self._clock = clock
        self._max_tokens = max_tokens
        self._tokens: dict[bytes, AccessToken] = {}
        self._by_name: dict[str, set[bytes]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, text: str) -> AccessToken | None:
        """Return the claims of a token verified before that has not run out."""
        key = _digest(text)
        token = self._tokens.get(key)
        if token is not None and token.exp + MAX_LEEWAY <= self._clock.now():
            self._drop(key)
            return None
        return token

    def add(self, text: str, token: AccessToken) -> None:
        """Remember *token*, which *text* was verified to be."""
        if len(self._tokens) >= self._max_tokens:
            self._drop(next(iter(self._tokens)))
        key = _digest(text)
        self._tokens[key] = token
        for name in names_of(token):
            self._by_name[name].add(key)

    def drop(self, kind: str, value: str) -> None:
        """Drop every token whose `kid`, `sid`, `sub` or `jti` (*kind*) is *value*."""
        for key in tuple(self._by_name.get(f"{kind}:{value}", ())):
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        token = self._tokens.pop(key, None)
        if token is None:
            return
        for name in names_of(token):
            keys = self._by_name[name]
            keys.discard(key)
            if not keys:
                del self._by_name[name]


def names_of(token: AccessToken) -> Iterable[str]:
    """Return by which names what *token* opened can be ended: `kid`, `sid`, `sub` and `jti`."""
    return (f"kid:{token.kid}", f"sid:{token.sid}", f"sub:{token.sub}", f"jti:{token.jti}")


def _digest(text: str) -> bytes:
    # Not the text itself: a copy of this process's memory should hold few usable tokens.
    return sha256(text.encode("latin-1")).digest()
