"""The operations of audit and notify, and the pages the gateway itself serves."""

from scripts.reference.alerts import ALERTS
from scripts.reference.operation import EXPORT, HTML, JSON, Answer, Operation
from scripts.reference.shapes import AuditEntry, AuditPage, Index
from services.audit import errors as audit_errors
from services.audit.schemas import ip_blocks as blocks
from services.audit.schemas import log as audit
from services.notify import errors as notify_errors
from services.notify import schemas as notify

_ARCHIVE = (audit_errors.ArchiveUnavailable, audit_errors.ArchiveDamaged)

AUDIT = (
    Operation(
        method="GET",
        path="/api/v1/users/me/export",
        name="exportOwnEvents",
        tag="Accounts",
        summary="Export what the audit log holds of oneself",
        text="Archives included.",
        query=audit.OwnExportQuery,
        answers={200: Answer(text="One event a line, in the form asked for.", media=EXPORT)},
        problems=_ARCHIVE,
    ),
    Operation(
        method="GET",
        path="/api/v1/admin/audit",
        name="listAuditEntries",
        tag="Audit",
        summary="Read the audit log",
        text=(
            "Reading it is itself recorded. With `from`, archives are read too: a page then looks"
            " through 20 000 archived events at most, so it may be short, or empty, and still have"
            " a `next_cursor`."
        ),
        query=audit.ListQuery,
        answers={200: Answer(text="Some entries.", model=AuditPage)},
        problems=(audit_errors.ReaderRoleRequired, *_ARCHIVE),
    ),
    Operation(
        method="GET",
        path="/api/v1/admin/audit/export",
        name="exportAuditEntries",
        tag="Audit",
        summary="Export the audit log",
        text="Streamed, without a limit of length. With `from`, archives are read too.",
        query=audit.ExportQuery,
        answers={200: Answer(text="One event a line, in the form asked for.", media=EXPORT)},
        problems=(audit_errors.ReaderRoleRequired, *_ARCHIVE),
    ),
    Operation(
        method="GET",
        path="/api/v1/admin/audit/{id}",
        name="getAuditEntry",
        tag="Audit",
        summary="Read one entry of the audit log",
        answers={200: Answer(text="The entry.", model=AuditEntry)},
        problems=(audit_errors.ReaderRoleRequired, audit_errors.EntryNotFound, *_ARCHIVE),
    ),
    Operation(
        method="GET",
        path="/api/v1/admin/ip-blocks",
        name="listIpBlocks",
        tag="Address blocks",
        summary="List the blocked networks",
        text="With `address`, those that cover it.",
        query=blocks.BlocksQuery,
        answers={200: Answer(text="The running blocks.", model=blocks.BlockPageView)},
        problems=(audit_errors.AdminRoleRequired,),
    ),
    Operation(
        method="POST",
        path="/api/v1/admin/ip-blocks",
        name="blockNetwork",
        tag="Address blocks",
        summary="Block an address or a network",
        text="The own address needs `force`.",
        body=blocks.BlockRequest,
        answers={
            201: Answer(text="The block; gateways know it within a second.", model=blocks.BlockView)
        },
        problems=(
            audit_errors.AdminRoleRequired,
            audit_errors.IpBlockExists,
            audit_errors.OwnAddress,
            audit_errors.TooManyIpBlocks,
        ),
    ),
    Operation(
        method="DELETE",
        path="/api/v1/admin/ip-blocks/{id}",
        name="liftBlock",
        tag="Address blocks",
        summary="Lift a block",
        answers={204: Answer(text="The block is lifted.")},
        problems=(audit_errors.AdminRoleRequired, audit_errors.IpBlockNotFound),
    ),
    *ALERTS,
)

NOTIFY = (
    Operation(
        method="GET",
        path="/api/v1/admin/messages",
        name="listMessages",
        tag="Mail",
        summary="List the mails of the ledger",
        text="Addresses are masked, and no text is kept.",
        query=notify.LedgerQuery,
        answers={200: Answer(text="Newest first.", model=notify.LedgerPage)},
        problems=(notify_errors.AdminOnly,),
    ),
    Operation(
        method="POST",
        path="/api/v1/admin/messages/{id}/resend",
        name="resendMessage",
        tag="Mail",
        summary="Send a mail again",
        answers={202: Answer(text="It is on its way.", model=notify.LedgerMessage)},
        problems=(
            notify_errors.AdminOnly,
            notify_errors.MessageNotFound,
            notify_errors.MessageNotResendable,
        ),
    ),
    Operation(
        method="GET",
        path="/dev/inbox",
        name="showInbox",
        tag="Development",
        summary="See the mails of the development inbox",
        query=notify.InboxQuery,
        text="With `DEV_INBOX` alone.",
        answers={200: Answer(text="A page.", media=HTML)},
    ),
    Operation(
        method="GET",
        path="/dev/inbox/messages",
        name="listInbox",
        tag="Development",
        summary="List the mails of the development inbox",
        query=notify.InboxQuery,
        text="With `DEV_INBOX` alone.",
        answers={200: Answer(text="Newest first.", model=notify.InboxItem, many=True)},
    ),
)


def _page(path: str, name: str, summary: str, media: tuple[str, ...] = HTML) -> Operation:
    text = "With `DOCS_ENABLED`; by default in development alone." if media is JSON else ""
    if path in {"/docs", "/redoc"}:
        text = "With `DOCS_ENABLED`; by default in development alone."
    return Operation(
        method="GET",
        path=path,
        name=name,
        tag="Pages",
        summary=summary,
        text=text,
        answers={200: Answer(text="The document." if media is JSON else "A page.", media=media)},
    )


PAGES = (
    _page("/verify-email", "showVerifyEmail", "The page behind a mailed verification link"),
    _page("/reset-password", "showResetPassword", "The page behind a mailed reset link"),
    _page("/revert-email", "showRevertEmail", "The page behind a link that takes a change back"),
    _page("/docs", "showDocs", "This reference, to read and try"),
    _page("/redoc", "showRedoc", "This reference, to read"),
    _page("/openapi.json", "getOpenApi", "This document (OpenAPI 3.1)", JSON),
    _page("/asyncapi.json", "getAsyncApi", "The events of the platform (AsyncAPI 3.0)", JSON),
    Operation(
        method="GET",
        path="/",
        name="showIndex",
        tag="Development",
        summary="See where things are",
        text="In development alone.",
        answers={200: Answer(text="Paths by their names.", model=Index)},
    ),
)
