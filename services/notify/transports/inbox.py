"""Mail into notify's own database: the local inbox of development, never of production."""

from chassis.database import Database
from services.notify.repository import inbox_messages
from services.notify.transports import Mail


class InboxTransport:
    """Keeps the newest mails where `/dev/inbox` shows them; the same mail twice is one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def send(self, mail: Mail) -> None:
        """Store *mail* (see Transport). Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            await inbox_messages.add(
                tx,
                mail.id,
                recipient=mail.recipient,
                subject=mail.subject,
                text=mail.text,
                html=mail.html,
            )
