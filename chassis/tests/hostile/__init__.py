"""Hostile access tokens, byte by byte, each under the row of the checklist that names the attack.

Every one is a single step away from a good token of a `Forge`, which holds the issuer's own private
key: so only the check that an attack is aimed at can refuse it. Whoever takes access tokens has to
refuse them all, in one and the same way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chassis.tests.hostile import contents, forms, headers, signatures
from chassis.tests.hostile.forge import Forge, Named

__all__ = ["Attack", "Forge", "attacks"]

_ROWS: Sequence[tuple[str, Sequence[Callable[[Forge], Named]]]] = (
    ("J-01", (signatures.confused_algorithms, signatures.false_signatures)),
    ("J-02", (signatures.unsigned,)),
    ("J-03", (signatures.other_keys,)),
    ("J-04", (headers.hostile_kids,)),
    ("J-05", (headers.keys_of_its_own,)),
    ("J-06", (headers.extensions,)),
    ("J-07", (contents.strangers,)),
    ("J-08", (headers.other_kinds,)),
    ("J-09", (forms.other_forms, forms.other_json)),
    ("J-11", (contents.bound_elsewhere,)),
    ("J-13", (contents.meant_for_others,)),
    ("J-15", (contents.clients,)),
    ("X-30", (contents.times,)),
)


@dataclass(frozen=True, slots=True)
class Attack:
    """One token that nobody may accept; `row` is the checklist's, such as J-01."""

    row: str
    name: str
    token: str

    @property
    def fits_a_header(self) -> bool:
        """Say whether a client can send it at all: ASCII, and nothing that ends a line."""
        return self.token.isascii() and not {"\r", "\n", "\0"} & set(self.token)

    def __str__(self) -> str:
        return f"{self.row} {self.name}"


def attacks(forge: Forge) -> tuple[Attack, ...]:
    """Return every attack; the rows are those of chassis/tests/test_jwt_rows.py."""
    return tuple(
        Attack(row, name, token)
        for row, rows in _ROWS
        for make in rows
        for name, token in make(forge)
    )
