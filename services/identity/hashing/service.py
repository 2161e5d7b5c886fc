"""The pool and the hasher together, as use cases call them."""

from services.identity.hashing.hasher import PasswordHasher, Verdict
from services.identity.hashing.pool import HashPool, Priority
from services.identity.passwords.normal import MAX_LENGTH, normalized


class Hashing:
    """Hashes and verifies in the bounded pool; *queue_seconds* is the longest wait for a turn."""

    def __init__(self, hasher: PasswordHasher, pool: HashPool, *, queue_seconds: float) -> None:
        self._hasher = hasher
        self._pool = pool
        self._queue_seconds = queue_seconds
        # Verified for names nobody has, at the same cost as any other (D7).
        self._dummy = hasher.hash("a password nobody has")

    async def hash(self, password: str, priority: Priority) -> str:
        """Return a new hash. Raises HashingOverloaded."""
        given = normalized(password)
        return await self._pool.run(priority, self._queue_seconds, lambda: self._hasher.hash(given))

    async def verify(
        self,
        stored: str | None,
        password: str,
        *,
        deadline: float | None = None,
        priority: Priority = Priority.LOGIN,
    ) -> Verdict:
        """Compare *password* with *stored*; with None nothing matches, at the same cost.

        *deadline* (seconds) is the caller's own patience. Raises HashingOverloaded.
        """
        given = normalized(password)
        known = stored is not None and len(given) <= MAX_LENGTH
        phc = stored if known and stored else self._dummy
        patience = self._queue_seconds if deadline is None else min(deadline, self._queue_seconds)
        verdict = await self._pool.run(
            priority, patience, lambda: self._hasher.verify(phc, given[:MAX_LENGTH])
        )
        return verdict if known else Verdict.WRONG

    def close(self) -> None:
        """Finish what runs."""
        self._pool.close()
