"""Choosing a password: one verdict and one way to hash, for register, change and reset (D5)."""

from chassis.errors import InvalidInput
from services.identity.hashing import Hashing, Priority
from services.identity.passwords import PasswordPolicy, Person


class PasswordChoice:
    """Holds new passwords against the policy, and hashes those that pass."""

    def __init__(self, policy: PasswordPolicy, hashing: Hashing) -> None:
        self.policy = policy
        self._hashing = hashing

    def check(self, password: str, person: Person, *, pointer: str) -> None:
        """Refuse a password that breaks the policy. Raises InvalidInput, one error per rule."""
        complaints = self.policy.complaints(password, person, pointer=pointer)
        if complaints:
            raise InvalidInput(errors=complaints)

    async def matches(self, stored: str | None, password: str, priority: Priority) -> bool:
        """Say whether *password* made *stored*; with None none did. Raises HashingOverloaded."""
        return (await self._hashing.verify(stored, password, priority=priority)).is_right

    async def hash(self, password: str, priority: Priority) -> str:
        """Hash a password that was checked. Raises HashingOverloaded."""
        return await self._hashing.hash(password, priority)
