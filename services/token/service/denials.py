"""Denying tokens: durable first, then told to whoever makes it known faster."""

from collections.abc import Callable, Sequence

from chassis.database import Transaction
from services.token.domain.revocations import Revocation
from services.token.repository.revocations import add_revocations

Listener = Callable[[Sequence[Revocation]], None]


class Denials:
    """Puts entries on the deny list, in the transaction of what is the reason for them.

    *listener* (quick, not raising) hears of them once they are committed.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener

    async def add(self, tx: Transaction, entries: Sequence[Revocation]) -> None:
        """Refuse the tokens of *entries* from the commit on."""
        listener = self._listener
        await add_revocations(tx, entries)
        if listener is not None and entries:
            tx.after_commit(lambda: listener(entries))
