"""What can go wrong in audit, by name."""

from chassis.errors import Conflict, Forbidden, NotFound


class EntryNotFound(NotFound):
    """No row of the log has this id."""

    code = "audit_entry_not_found"
    title = "There is no such entry in the log."


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
