"""What an administrator may correct of an account: its names, and whether its address is proven."""

from dataclasses import dataclass

from services.identity.domain.accounts import User
from services.identity.domain.names import EmailAddress, Username


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """The fields to change; None leaves one as it is.

    A new address is not proven unless `is_verified` says so.
    """

    username: Username | None = None
    email: EmailAddress | None = None
    is_verified: bool | None = None

    def moves(self, user: User) -> bool:
        """Say whether *user* gets another address."""
        return self.email is not None and self.email.folded != user.email_folded

    def leaves_verified(self, user: User) -> bool:
        """Say whether the address of *user* counts as proven afterwards."""
        if self.is_verified is not None:
            return self.is_verified
        return user.is_verified and not self.moves(user)
