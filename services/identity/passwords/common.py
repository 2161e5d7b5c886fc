"""The passwords everybody chooses, shipped as a text file of one per line."""

from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "common_passwords.txt"


@cache
def common_passwords() -> frozenset[str]:
    """Return the list, case-folded; read once per process."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line.casefold() for line in lines if line and not line.startswith("# "))
