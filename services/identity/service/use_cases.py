"""All use cases together, as the doors are given them."""

from dataclasses import dataclass

from chassis.clock import Clock
from services.identity.passwords import PasswordPolicy
from services.identity.service.administration import Administration
from services.identity.service.authentication import Authentication
from services.identity.service.editing import Editing
from services.identity.service.email_change import EmailChanges
from services.identity.service.email_revert import EmailRevert
from services.identity.service.importing import Importing
from services.identity.service.mail_requests import MailRequests
from services.identity.service.password_change import PasswordChange
from services.identity.service.password_reset import PasswordReset
from services.identity.service.profile import Profile
from services.identity.service.registration import Registration
from services.identity.service.subjects import Subjects
from services.identity.service.verification import Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What identity can do."""

    registration: Registration
    verification: Verification
    mail_requests: MailRequests
    password_reset: PasswordReset
    password_change: PasswordChange
    policy: PasswordPolicy
    profile: Profile
    authentication: Authentication
    subjects: Subjects
    administration: Administration
    editing: Editing
    importing: Importing
    email_changes: EmailChanges
    email_revert: EmailRevert
    clock: Clock
