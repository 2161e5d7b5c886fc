"""One form of each password, so that the same keys on another keyboard give the same hash."""

import unicodedata

MAX_LENGTH = 1024
"""Code points of the longest password that is taken; nothing longer is ever hashed."""


def normalized(password: str) -> str:
    """Return *password* in NFC: the only thing ever done to it (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFC", password)
