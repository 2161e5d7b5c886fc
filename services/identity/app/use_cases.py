"""The use cases, built of the parts."""

from datetime import timedelta

from services.identity.app.parts import Parts
from services.identity.service.administration import Administration
from services.identity.service.authentication import Authentication
from services.identity.service.editing import Editing
from services.identity.service.email_change import EmailChanges
from services.identity.service.email_revert import EmailRevert
from services.identity.service.importing import Importing
from services.identity.service.password_change import PasswordChange
from services.identity.service.password_reset import PasswordReset
from services.identity.service.profile import Profile
from services.identity.service.registration import Registration
from services.identity.service.subjects import Subjects
from services.identity.service.use_cases import UseCases
from services.identity.service.verification import Verification

# Where accounts never expire, neither does the name of one that was silently refused.
_NEVER = timedelta(days=365 * 100)


def use_cases(parts: Parts) -> UseCases:
    """Return the use cases behind the URLs."""
    basis = (parts.database, parts.outbox, parts.clock)
    changes = EmailChanges(
        *basis, confirmation=parts.confirmation, requests=parts.requests, mails=parts.mails
    )
    return UseCases(
        registration=_registration(parts),
        verification=Verification(*basis, changes=changes),
        mail_requests=parts.requests,
        password_reset=PasswordReset(*basis, choice=parts.choice),
        password_change=PasswordChange(
            *basis, choice=parts.choice, confirmation=parts.confirmation
        ),
        policy=parts.choice.policy,
        profile=Profile(*basis, confirmation=parts.confirmation),
        authentication=_authentication(parts),
        subjects=Subjects(parts.database),
        administration=Administration(*basis, forced_reset=parts.forced_reset),
        editing=Editing(*basis, mails=parts.mails),
        importing=Importing(*basis, hashing=parts.hashing),
        email_changes=changes,
        email_revert=EmailRevert(*basis, forced_reset=parts.forced_reset),
        clock=parts.clock,
    )


def _registration(parts: Parts) -> Registration:
    return Registration(
        parts.database,
        parts.outbox,
        parts.clock,
        choice=parts.choice,
        mails=parts.mails,
        requests=parts.requests,
        private=parts.settings.registration_private,
        hold=parts.settings.unverified_life or _NEVER,
    )


def _authentication(parts: Parts) -> Authentication:
    return Authentication(
        parts.database,
        parts.outbox,
        parts.clock,
        attempts=parts.attempts,
        failures=parts.failures,
        hashing=parts.hashing,
        devices=parts.devices,
        mails=parts.mails,
        private=parts.settings.registration_private,
    )
