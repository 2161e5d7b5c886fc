"""What every table of audit belongs to, and the tables every service has."""

from chassis.database import metadata
from chassis.inbox import inbox_tables
from chassis.outbox import outbox_tables

METADATA = metadata()
OUTBOX = outbox_tables(METADATA)
INBOX = inbox_tables(METADATA)
