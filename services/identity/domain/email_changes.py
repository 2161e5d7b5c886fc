"""Changes of address: asked for inside, confirmed by the new mailbox, taken back by the old one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.identity.domain.accounts import User

CONFIRMATION_LIFE = timedelta(hours=24)
REVERT_LIFE = timedelta(days=7)
MAX_CHANGES = 5
"""How many changes one account may ask for within WINDOW: each writes to two mailboxes."""
WINDOW = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEmailChange:
    """A change about to be stored; the confirmation link is made later, by who mails it."""

    id: UUID
    user_id: UUID
    email: str
    email_folded: str
    previous_email: str
    previous_email_folded: str
    credentials_epoch: int
    requested_at: datetime
    expires_at: datetime
    revert_hash: bytes
    revert_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChange:
    """One change; it holds only for the password (`credentials_epoch`) it was asked for with."""

    id: UUID
    user_id: UUID
    email: str
    email_folded: str
    previous_email: str
    previous_email_folded: str
    credentials_epoch: int
    requested_at: datetime
    expires_at: datetime
    confirmed_at: datetime | None

    def may_happen_to(self, user: User) -> bool:
        """Say whether *user* is still the account that asked, in service and unchanged."""
        return user.is_usable and user.credentials_epoch == self.credentials_epoch

    def has_happened_to(self, user: User) -> bool:
        """Say whether *user* has the address because of this change."""
        return self.confirmed_at is not None and user.email_folded == self.email_folded
