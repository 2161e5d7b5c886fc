"""What can go wrong in notify, by name."""

from chassis.errors import Conflict, Forbidden, NotFound, Unauthenticated


class AdminOnly(Forbidden):
    """The caller is known, but is no administrator."""

    code = "forbidden"
    title = "Only administrators may see the mail ledger."


class NotLoggedIn(Unauthenticated):
    """The call came without an access token."""

    code = "unauthenticated"
    title = "An access token is needed."


class MessageNotFound(NotFound):
    """No mail has this id."""

    code = "message_not_found"
    title = "There is no such message."


class MessageNotResendable(Conflict):
    """The mail carried a secret that is gone, its link expired, or its recipient was erased."""

    code = "message_not_resendable"
    title = "This message cannot be sent again."


class RecipientUnknown(Exception):  # noqa: N818 - a state of the world: the fact is tried again
    """A fact names a user of whose registration nothing has arrived yet."""
