"""Requests for a mail: one row each, dealt with by a worker (D10)."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from chassis.rates import Rate
from services.identity.domain.mail_requests import (
    MailRequest,
    RequestKind,
    RequestOutcome,
)
from services.identity.models import mail_requests


async def add(tx: Transaction, request: MailRequest, *, now: datetime) -> None:
    """Store a request."""
    await tx.execute(
        sa.insert(mail_requests).values(
            id=request.id,
            kind=str(request.kind),
            mailbox=request.mailbox,
            mailbox_key=request.mailbox_key,
            requested_at=now,
            ip=request.ip,
            user_agent=request.user_agent,
            request_id=request.request_id,
            traceparent=request.traceparent,
        )
    )


async def claim_waiting(tx: Transaction) -> MailRequest | None:
    """Take the oldest request nobody else is at, for the length of the transaction."""
    c = mail_requests.c
    statement = (
        sa.select(mail_requests)
        .where(c.done_at.is_(None))
        .order_by(c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await tx.execute(statement)).one_or_none()
    if row is None:
        return None
    return MailRequest(
        id=row.id,
        kind=RequestKind(row.kind),
        mailbox=row.mailbox,
        mailbox_key=row.mailbox_key,
        ip=row.ip,
        user_agent=row.user_agent,
        request_id=row.request_id,
        traceparent=row.traceparent,
    )


async def mark_done(
    tx: Transaction, request_id: UUID, outcome: RequestOutcome, *, now: datetime
) -> None:
    """Remember what became of the request, and forget the address."""
    await tx.execute(
        sa.update(mail_requests)
        .where(mail_requests.c.id == request_id)
        .values(done_at=now, outcome=str(outcome), mailbox=None)
    )


async def is_over_limit(tx: Transaction, mailbox_key: bytes, limit: Rate, *, now: datetime) -> bool:
    """Say whether the mailbox has had its mails of the limit's period: nobody is bombed by us.

    The caller holds the account's row, so that two workers do not miscount.
    """
    c = mail_requests.c
    statement = sa.select(sa.func.count()).where(
        c.mailbox_key == mailbox_key,
        c.outcome == str(RequestOutcome.MAILED),
        c.done_at > now - limit.period,
    )
    return int(await tx.scalar(statement)) >= limit.limit
