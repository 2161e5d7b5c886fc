"""What can go wrong in audit, by name."""

from chassis.errors import Conflict, Forbidden, NotFound, ServerError, Unavailable

_LATER = 30


class EntryNotFound(NotFound):
    """No row of the log has this id."""

    code = "audit_entry_not_found"
    title = "There is no such entry in the log."


class ArchiveUnavailable(Unavailable):
    """The store of the archives cannot be reached, refuses us, or none is configured."""

    code = "archive_unavailable"
    title = "The archived part of the log cannot be read right now."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=_LATER)


class ArchiveDamaged(ServerError):  # noqa: N818 - named as every problem is: by what happened
    """What the store returned is not what was archived."""

    code = "archive_damaged"
    title = "A part of the archived log is not as it was written."


class ReaderRoleRequired(Forbidden):
    """Only administrators and moderators read the log of everybody."""

    code = "reader_role_required"
    title = "Only administrators and moderators read the audit log."


class AdminRoleRequired(Forbidden):
    """Only administrators deal with IP blocks, alerts and statistics."""

    code = "admin_role_required"
    title = "Only administrators may do this."


class AlertNotFound(NotFound):
    """No alert has this id."""

    code = "alert_not_found"
    title = "There is no such alert."


class AlertIsClosed(Conflict):
    """Who closed the alert dealt with it."""

    code = "alert_closed"
    title = "This alert is closed."


class IpBlockNotFound(NotFound):
    """No block has this id, or it has ended."""

    code = "ip_block_not_found"
    title = "There is no such IP block."


class IpBlockExists(Conflict):
    """The same network is blocked already."""

    code = "ip_block_exists"
    title = "This network is blocked already."


class OwnAddress(Conflict):
    """Whoever asked would shut themselves out; `force` says they know."""

    code = "own_address"
    title = "The block covers your own address: send force to block it nevertheless."


class TooManyIpBlocks(Conflict):
    """The list is as long as gateways can bear."""

    code = "too_many_ip_blocks"
    title = "There are too many IP blocks: lift some, or block a wider network."
