"""Header lines that come again and again: read once, and known from then on."""

import re
from collections.abc import Callable

CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t"})
"""What no header line holds between its ends (RFC 9110 §5.5)."""
NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 §5.6.2."""

PASSED, DROPPED, SLOW = "passed", "dropped", "slow"
"""What becomes of a line: it goes on as it is said, or not, or is not for the fast path."""

Reading = tuple[str, bytes]
"""What a line is, one of the above or one of its reader's own, and what it says."""

_LONGEST = 128
_MOST = 2048


class Lines:
    """Reads lines by *read*, which gives the name and the reading; those named in *kept* are kept.

    No others: many are of one request alone, and some are secrets.
    """

    def __init__(
        self, read: Callable[[bytes], tuple[bytes, Reading]], kept: frozenset[bytes]
    ) -> None:
        self._read = read
        self._kept = kept
        self._known: dict[bytes, Reading] = {}
        self.known = self._known.get
        """Returns the reading of a line that is kept, or None."""

    def read(self, line: bytes) -> Reading:
        """Return what *line* is, and what it says."""
        name, reading = self._read(line)
        if name in self._kept and len(line) <= _LONGEST:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[line] = reading
        return reading
