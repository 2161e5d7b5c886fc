"""What can go wrong in audit, by name."""

from chassis.errors import Forbidden, NotFound


class EntryNotFound(NotFound):
    """No row of the log has this id."""

    code = "audit_entry_not_found"
    title = "There is no such entry in the log."


class ReaderRoleRequired(Forbidden):
    """Only administrators and moderators read the log of everybody."""

    code = "reader_role_required"
    title = "Only administrators and moderators read the audit log."
