"""What can go wrong in identity, by name. The codes are API and never change."""

from chassis.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)


class BootstrapRefused(Exception):  # noqa: N818 - a refusal, told to the operator at the start
    """The first administrator cannot be made as configured; the message says why."""


class AlreadyTaken(Conflict):
    """The address or the username belongs to an account; `errors` names the field."""

    code = "already_taken"
    title = "This e-mail address or username is taken."


class TokenInvalid(BadRequest):
    """The one-time token is unknown, used, voided or too old."""

    code = "token_invalid"
    title = "This link is not valid any more. Ask for a new one."


class InvalidCredentials(Unauthenticated):
    """The one answer to every failed login (D7)."""

    code = "invalid_credentials"
    title = "The username or the password is not right."


class AccountLocked(Forbidden):
    """Too many failures: nothing is verified for this name until Retry-After."""

    code = "account_locked"
    title = "Too many failed attempts. Try again later, or reset the password."


class AccountDisabled(Forbidden):
    """The password was right, but an administrator took the account out of service."""

    code = "account_disabled"
    title = "This account is out of service."


class EmailNotVerified(Forbidden):
    """The password was right, but the address is not proven."""

    code = "email_not_verified"
    title = "Prove your e-mail address first."


class PasswordChangeRequired(Forbidden):
    """The password was right, but must be replaced: `reset_token` allows it once."""

    code = "password_change_required"
    title = "Choose a new password first."


class PasswordResetRequired(Forbidden):
    """The password was right, but only a mailed link helps."""

    code = "password_reset_required"
    title = "Reset the password by mail first."


class TooManyAttempts(TooManyRequests):
    """This source failed too often, or all slots of the account are being verified right now."""

    code = "too_many_attempts"
    title = "Too many attempts."


class TooManyEmailChanges(TooManyRequests):
    """This account asked for too many changes of its address: each of them writes mails."""

    code = "too_many_email_changes"
    title = "Too many changes of the e-mail address."


class ImportRunning(Conflict):
    """Somebody imports accounts right now; the next import waits for its end."""

    code = "import_running"
    title = "Accounts are being imported right now."


class HashingOverloaded(Unavailable):
    """The hashing pool could not take the work before its deadline."""

    code = "hashing_overloaded"
    title = "Too many passwords are being checked right now."


class UnknownUser(NotFound):
    """There is no such account, or none the caller may see."""

    code = "user_not_found"
    title = "There is no such user."


class AccountGone(Unauthenticated):
    """The account behind a still valid access token was deleted."""

    code = "account_gone"
    title = "This account does not exist any more."


class RoleRequired(Forbidden):
    """The caller lacks the role this needs."""

    code = "role_required"
    title = "Your roles do not allow this."


class LastAdministrator(Conflict):
    """Nobody would be left to administer."""

    code = "last_administrator"
    title = "The last administrator cannot go."
