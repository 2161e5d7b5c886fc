"""The password policy as data (D5): presets, and one verdict for register, change and reset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from chassis.errors import FieldError
from services.identity.domain.names import EmailAddress
from services.identity.passwords.common import common_passwords
from services.identity.passwords.normal import MAX_LENGTH, normalized

PRODUCT = "gatehouse"

# A word shorter than this stands inside too many innocent passwords to be looked for.
_SHORTEST_WORD = 4
# What must be left of a password besides a personal word for it to be more than its derivative.
_ENOUGH_BESIDES = 8
_LEET = str.maketrans("013457@$!", "oleastasi")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a password is for: it must not be their name in disguise."""

    username: str
    email: str

    @property
    def words(self) -> frozenset[str]:
        """Return the context words: username, address, local part, product (ASVS 6.2.11)."""
        email = self.email.casefold()
        return frozenset({self.username.casefold(), email, email.rpartition("@")[0], PRODUCT})

    @classmethod
    def of(cls, username: str, email: EmailAddress) -> Self:
        """Return the person of parsed names."""
        return cls(username, email.folded)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPolicy:
    """The rules one deployment has; lengths count code points after NFC."""

    preset: str
    min_length: int
    max_length: int = MAX_LENGTH
    require_uppercase: bool = False
    require_numbers: bool = False
    require_special_chars: bool = False
    common: frozenset[str] = field(default_factory=common_passwords, repr=False)

    def with_overrides(self, **overrides: int | bool | None) -> Self:
        """Return the policy with those of *overrides* that are not None."""
        given: dict[str, Any] = {k: v for k, v in overrides.items() if v is not None}
        return replace(self, **given)

    def complaints(self, password: str, person: Person, *, pointer: str) -> list[FieldError]:
        """Return every rule that *password* breaks, at the JSON *pointer* it came in."""
        given = normalized(password)
        return [
            FieldError(pointer, code, advice)
            for code, advice, breaks in self._rules(person)
            if breaks(given)
        ]

    def published(self) -> Mapping[str, Any]:
        """Return what clients may show; the list itself stays at home."""
        return {
            "preset": self.preset,
            "min_length": self.min_length,
            "max_length": self.max_length,
            "require_uppercase": self.require_uppercase,
            "require_numbers": self.require_numbers,
            "require_special_chars": self.require_special_chars,
            "normalization": "NFC",
            "refused": ["common", "personal"],
        }

    def _rules(self, person: Person) -> list[tuple[str, str, Callable[[str], bool]]]:
        rules: list[tuple[str, str, Callable[[str], bool]]] = [
            (
                "password_too_short",
                f"Use at least {self.min_length} characters.",
                lambda p: len(p) < self.min_length,
            ),
            (
                "password_too_long",
                f"Use at most {self.max_length} characters.",
                lambda p: len(p) > self.max_length,
            ),
            (
                "password_common",
                "Many people use this password. Three unrelated words are better.",
                lambda p: p.casefold() in self.common,
            ),
            (
                "password_contains_personal",
                "This is little more than a name an attacker tries first.",
                lambda p: is_personal(p, person),
            ),
        ]
        if self.require_uppercase:
            rules.append(("password_needs_uppercase", "Use an upper-case letter.", _lacks_upper))
        if self.require_numbers:
            rules.append(("password_needs_number", "Use a number.", _lacks_number))
        if self.require_special_chars:
            rules.append(("password_needs_special", "Use a special character.", _lacks_special))
        return rules


PRESETS: Mapping[str, Callable[[], PasswordPolicy]] = {
    "seed": lambda: PasswordPolicy(
        preset="seed",
        min_length=8,
        require_uppercase=True,
        require_numbers=True,
        require_special_chars=True,
    ),
    "asvs": lambda: PasswordPolicy(preset="asvs", min_length=8),
    "nist": lambda: PasswordPolicy(preset="nist", min_length=15),
}


def is_personal(password: str, person: Person) -> bool:
    """Say whether *password* is one of the person's words or a simple derivative of it.

    The whole password is compared (NIST SP 800-63B-4 §3.1.1.2), spelt plainly and in leet; a word
    with fewer than 8 characters around it is a derivative, as `Gatehouse2026!` is.
    """
    if len(password) > MAX_LENGTH:
        return False
    folded = password.casefold()
    return any(_derives(spelling, person.words) for spelling in (folded, folded.translate(_LEET)))


def _derives(password: str, words: frozenset[str]) -> bool:
    for word in words:
        if password in (word, word[::-1]):
            return True
        besides = len(password) - len(word)
        if len(word) >= _SHORTEST_WORD and word in password and besides < _ENOUGH_BESIDES:
            return True
    return False


def _lacks_upper(password: str) -> bool:
    return not any(character.isupper() for character in password)


def _lacks_number(password: str) -> bool:
    return not any(character.isnumeric() for character in password)


def _lacks_special(password: str) -> bool:
    return not any(not character.isalnum() for character in password)
