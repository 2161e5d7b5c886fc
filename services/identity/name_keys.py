"""Keyed hashes of names nobody may read later: people type passwords into name fields (D16)."""

import hashlib
import hmac
from collections.abc import Sequence

from chassis.crypto import b64encode, derive


class NameKeys:
    """Hashes login names and mailboxes under a key derived from the first of *keys*.

    When that key is replaced the short-lived counters of unknown names start anew.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._names = derive(keys[0], "identity unknown name")
        self._mailboxes = derive(keys[0], "identity mailbox")

    def of_name(self, folded: str) -> str:
        """Return the hash of a folded login name."""
        return b64encode(_digest(self._names, folded))

    def of_mailbox(self, folded: str) -> bytes:
        """Return the hash of a folded address."""
        return _digest(self._mailboxes, folded)


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
