"""The development inbox as its reader sees it."""

from collections.abc import Sequence

from chassis.database import Database
from services.notify.repository import inbox_messages
from services.notify.repository.inbox_messages import InboxMessage


class DevelopmentInbox:
    """Shows what the inbox transport has stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_messages(
        self, *, recipient: str | None, limit: int = inbox_messages.KEPT
    ) -> Sequence[InboxMessage]:
        """Return the newest mails first, those to *recipient* if given."""
        async with self._database.transaction() as tx:
            return await inbox_messages.list_newest(tx, recipient=recipient, limit=limit)
