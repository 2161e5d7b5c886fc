"""Alerts in the words of a mail."""

from collections.abc import Mapping

TOLD_ALREADY = "refresh_token_reuse"
"""The rule whose fact has a mail of its own."""

_PATTERNS: Mapping[str, str] = {
    "password_spraying": "one address tried many accounts, each with a few passwords",
    "credential_stuffing": "many names and passwords were tried, as if from a stolen list",
    "account_guessing": "many addresses tried to guess the password of one account",
    "success_after_failures": "somebody logged in after many wrong passwords",
}


def pattern_of(rule: str) -> str:
    """Return what *rule* saw; of a rule this version does not know only that there is one."""
    return _PATTERNS.get(rule, "a pattern of attack")
