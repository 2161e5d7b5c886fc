"""Private work on `auth.commands`: mails that carry a secret (D16).

`sealed_token` is AES-256-GCM under the mail secrets key, bound to the command's id: it is opened
only at the moment the mail is written.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.envelope import CommandData


class SendSecretMail(CommandData):
    """A mail whose link carries a one-time token."""

    user_id: UUID
    email: str
    username: str
    sealed_token: str
    expires_at: datetime


class SendVerificationMail(SendSecretMail):
    """Ask the owner of the address to prove it."""

    type: ClassVar[str] = "notify.send_verification_mail.v1"


class SendPasswordResetMail(SendSecretMail):
    """Hand the owner of the account a reset link."""

    type: ClassVar[str] = "notify.send_password_reset_mail.v1"


class SendEmailChangeMail(SendSecretMail):
    """Ask the owner of a new address to prove it; only then the account has it."""

    type: ClassVar[str] = "notify.send_email_change_mail.v1"


class SendEmailChangeNotice(SendSecretMail):
    """Tell the present address that another was asked for, with a link that takes it back."""

    type: ClassVar[str] = "notify.send_email_change_notice.v1"


COMMANDS: tuple[type[CommandData], ...] = (
    SendVerificationMail,
    SendPasswordResetMail,
    SendEmailChangeMail,
    SendEmailChangeNotice,
)
