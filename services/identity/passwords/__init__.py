"""Passwords as people choose them: the rules, and what everybody chooses."""

from services.identity.passwords.normal import normalized
from services.identity.passwords.policy import PRESETS, PasswordPolicy, Person

__all__ = ["PRESETS", "PasswordPolicy", "Person", "normalized"]
