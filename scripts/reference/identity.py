"""The operations identity answers: accounts, passwords, administration."""

from chassis.errors import Problem
from chassis.paging import PageQuery
from scripts.reference.operation import NDJSON, Answer, Operation
from scripts.reference.shapes import Outcome, PasswordPolicy
from services.identity import errors, schemas

_ACCEPTED = Answer(
    text="Accepted, alike for every address.", model=Outcome, example={"status": "accepted"}
)
_CONFIRMING: tuple[type[Problem], ...] = (
    errors.InvalidCredentials,
    errors.AccountGone,
    errors.AccountLocked,
    errors.TooManyAttempts,
    errors.HashingOverloaded,
)
_ACCOUNT = {200: Answer(text="The account as it is now.", model=schemas.AccountView)}
_USERS = "/api/v1/admin/users"
_SOMEBODY = "019b796d-d600-7df0-bc9d-ce7d0bac5517"

ACCOUNTS = (
    Operation(
        method="POST",
        path="/api/v1/auth/register",
        name="register",
        tag="Accounts",
        summary="Make an account",
        text="A link to prove the address is mailed; without it there is no login.",
        body=schemas.RegisterBody,
        answers={
            201: Answer(text="The account was made.", model=schemas.Registered),
            202: Answer(
                text="With `REGISTRATION_PRIVATE`: the mail says what happened.",
                model=Outcome,
                example={"status": "accepted"},
            ),
        },
        problems=(errors.AlreadyTaken, errors.HashingOverloaded),
    ),
    Operation(
        method="POST",
        path="/api/v1/auth/email/verify",
        name="verifyEmail",
        tag="Accounts",
        summary="Prove an e-mail address",
        text="""Takes the token of the mailed link, also of one that confirms a new address.
            Repeating it for a proven address is no error.""",
        body=schemas.TokenBody,
        answers={
            200: Answer(
                text="The address is proven.", model=Outcome, example={"status": "verified"}
            )
        },
        problems=(errors.TokenInvalid, errors.AlreadyTaken),
    ),
    Operation(
        method="POST",
        path="/api/v1/auth/email/resend-verification",
        name="resendVerification",
        tag="Accounts",
        summary="Mail the verification link again",
        body=schemas.EmailBody,
        answers={200: _ACCEPTED},
    ),
    Operation(
        method="GET",
        path="/api/v1/users/me",
        name="getProfile",
        tag="Accounts",
        summary="Read the own profile",
        answers={200: Answer(text="The profile.", model=schemas.ProfileView)},
        problems=(errors.AccountGone,),
    ),
    Operation(
        method="PATCH",
        path="/api/v1/users/me",
        name="changeProfile",
        tag="Accounts",
        summary="Change the own username",
        body=schemas.ProfileBody,
        answers={200: Answer(text="The profile as it is now.", model=schemas.ProfileView)},
        problems=(errors.AccountGone, errors.AlreadyTaken),
    ),
    Operation(
        method="DELETE",
        path="/api/v1/users/me",
        name="deleteAccount",
        tag="Accounts",
        summary="Delete the own account",
        text="Needs the password. Every session ends, and all services erase personal data.",
        body=schemas.PasswordBody,
        answers={204: Answer(text="The account is gone.")},
        problems=(*_CONFIRMING, errors.LastAdministrator),
    ),
    Operation(
        method="POST",
        path="/api/v1/users/me/email",
        name="changeEmail",
        tag="Accounts",
        summary="Ask for another e-mail address",
        text="""Needs the password. The new address gets a link that confirms it (for
            `POST /api/v1/auth/email/verify`), the present one a link that takes the change back.
            The answer is the same whether the new address is taken or not.""",
        body=schemas.EmailChangeBody,
        answers={202: _ACCEPTED},
        problems=(*_CONFIRMING, errors.TooManyEmailChanges),
    ),
    Operation(
        method="POST",
        path="/api/v1/users/me/email/revert",
        name="revertEmail",
        tag="Accounts",
        summary="Take a change of address back",
        text="""Takes the token mailed to the previous address, within seven days, once. Every
            session ends, the password is void, and a link to set another is mailed.""",
        body=schemas.TokenBody,
        answers={
            200: Answer(
                text="The account has its previous address.",
                model=Outcome,
                example={"status": "reverted"},
            )
        },
        problems=(errors.TokenInvalid,),
    ),
    Operation(
        method="GET",
        path="/api/v1/users/me/login-history",
        name="listLogins",
        tag="Accounts",
        summary="List the own logins, also failed ones",
        query=PageQuery,
        answers={200: Answer(text="Newest first.", model=schemas.LoginPage)},
        problems=(errors.AccountGone,),
    ),
)

PASSWORDS = (
    Operation(
        method="GET",
        path="/api/v1/auth/password-policy",
        name="getPasswordPolicy",
        tag="Passwords",
        summary="Read the rules for passwords",
        answers={200: Answer(text="The rules.", model=PasswordPolicy)},
    ),
    Operation(
        method="POST",
        path="/api/v1/auth/password-reset",
        name="requestPasswordReset",
        tag="Passwords",
        summary="Mail a link to reset a forgotten password",
        text="Beyond the limit of one mailbox it answers the same and mails nothing.",
        body=schemas.EmailBody,
        answers={200: _ACCEPTED},
    ),
    Operation(
        method="POST",
        path="/api/v1/auth/password-reset/verify",
        name="resetPassword",
        tag="Passwords",
        summary="Set a new password with a reset token",
        text="Ends every session and lifts a lock of failed attempts. It logs nobody in.",
        body=schemas.ResetBody,
        answers={
            200: Answer(
                text="The password is set.", model=Outcome, example={"status": "password_reset"}
            )
        },
        problems=(errors.TokenInvalid, errors.HashingOverloaded),
    ),
    Operation(
        method="POST",
        path="/api/v1/auth/password-change",
        name="changePassword",
        tag="Passwords",
        summary="Change the own password",
        text="Ends the user's other sessions.",
        body=schemas.ChangeBody,
        answers={
            200: Answer(
                text="The password is changed.",
                model=Outcome,
                example={"status": "password_changed"},
            )
        },
        problems=_CONFIRMING,
    ),
)


def _action(verb: str, name: str, summary: str, text: str, *, last: bool = False) -> Operation:
    """Return an action on one account; *last*: the last administrator is protected from it."""
    guarded = (errors.LastAdministrator,) if last else ()
    return Operation(
        method="POST",
        path=f"{_USERS}/{{id}}/{verb}",
        name=name,
        tag="Administration",
        summary=summary,
        text=text,
        answers=_ACCOUNT,
        problems=(errors.RoleRequired, errors.UnknownUser, *guarded),
    )


ADMINISTRATION = (
    Operation(
        method="GET",
        path=_USERS,
        name="listUsers",
        tag="Administration",
        summary="List and search accounts",
        query=schemas.UsersQuery,
        answers={200: Answer(text="Some accounts.", model=schemas.AccountPage)},
        problems=(errors.RoleRequired,),
    ),
    Operation(
        method="POST",
        path=f"{_USERS}/import",
        name="importUsers",
        tag="Administration",
        summary="Import accounts with the password hashes they have",
        text="""NDJSON: one account a line, at most 50 000 lines of 16 KiB and 16 MiB in all. The
            answer has a line for each, as it is decided, and last one that says `finished`, or
            `stopped` with a code. A bad line stops no other; an address that has an account
            already answers `exists`, so that an import may be sent again. Hashes: bcrypt, Argon2,
            PBKDF2-SHA256 and -SHA512, scrypt, as PHC strings or as passlib and Django write them;
            they are replaced at the next login. Nobody gets a mail.""",
        body=schemas.ImportLine,
        body_media="application/x-ndjson",
        answers={
            200: Answer(
                text="A line for each line of the request.",
                model=schemas.LineResult,
                media=NDJSON,
                example={"line": 1, "status": "created", "id": _SOMEBODY},
            )
        },
        problems=(errors.RoleRequired, errors.ImportRunning),
    ),
    Operation(
        method="GET",
        path=f"{_USERS}/{{id}}",
        name="getUser",
        tag="Administration",
        summary="Read an account",
        answers=_ACCOUNT,
        problems=(errors.RoleRequired, errors.UnknownUser),
    ),
    Operation(
        method="PATCH",
        path=f"{_USERS}/{{id}}",
        name="editUser",
        tag="Administration",
        summary="Correct the names of an account",
        text="""A new address is not proven unless `is_verified` is true: a link is mailed to it.
            Links mailed to the previous address open nothing any more.""",
        body=schemas.EditBody,
        answers=_ACCOUNT,
        problems=(
            errors.RoleRequired,
            errors.UnknownUser,
            errors.AlreadyTaken,
            errors.LastAdministrator,
        ),
    ),
    Operation(
        method="DELETE",
        path=f"{_USERS}/{{id}}",
        name="deleteUser",
        tag="Administration",
        summary="Delete an account",
        answers={204: Answer(text="The account is gone.")},
        problems=(errors.RoleRequired, errors.UnknownUser, errors.LastAdministrator),
    ),
    Operation(
        method="GET",
        path=f"{_USERS}/{{id}}/failed-logins",
        name="listFailedLogins",
        tag="Administration",
        summary="List the failed logins of an account",
        query=PageQuery,
        answers={200: Answer(text="Newest first.", model=schemas.FailurePage)},
        problems=(errors.RoleRequired, errors.UnknownUser),
    ),
    Operation(
        method="PUT",
        path=f"{_USERS}/{{id}}/roles",
        name="setRoles",
        tag="Administration",
        summary="Set the roles of an account",
        text="Tokens that were issued before are refused from now on; a refresh has the new roles.",
        body=schemas.RolesBody,
        answers=_ACCOUNT,
        problems=(errors.RoleRequired, errors.UnknownUser, errors.LastAdministrator),
    ),
    _action("lock", "lockUser", "Lock an account", "Ends its sessions.", last=True),
    _action("unlock", "unlockUser", "Unlock an account", "Lifts both kinds of lock."),
    _action(
        "disable", "disableUser", "Take an account out of service", "Ends its sessions.", last=True
    ),
    _action("enable", "enableUser", "Put an account back into service", ""),
    _action(
        "force-password-reset",
        "forcePasswordReset",
        "Demand a new password",
        "Login works again after a reset by mail.",
    ),
)
