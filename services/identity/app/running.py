"""Everything that is not a request, from the first to the last of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.background import Background
from chassis.pusher import UrgentPusher
from chassis.relay import Relay
from chassis.settings import refused
from contracts.envelope import CloudEvent
from contracts.internal import SUBJECT_CHANGES_PATH
from services.identity.app.parts import Parts
from services.identity.errors import BootstrapRefused
from services.identity.service.bootstrap import Bootstrap, FirstAdministrator
from services.identity.service.expiry import Expiry
from services.identity.service.housekeeping import Housekeeping
from services.identity.service.mail_requests import MailRequestWorker


@asynccontextmanager
async def running(parts: Parts, *, owns_bus: bool) -> AsyncIterator[None]:
    """Run *parts* for the length of a block, and close them."""
    try:
        await _bootstrap(parts)
        async with parts.token, Background(registry=parts.metrics.registry) as background:
            _start(parts, background)
            yield
    finally:
        parts.hashing.close()
        if owns_bus:
            await parts.bus.close()
        await parts.database.close()


def _start(parts: Parts, background: Background) -> None:
    registry = parts.metrics.registry

    async def push(event: CloudEvent) -> None:
        """Hand an urgent event to token (D25)."""
        await parts.token.call("POST", SUBJECT_CHANGES_PATH, body=event.to_dict())

    Relay(parts.outbox, parts.database, parts.bus, registry=registry).start(background)
    UrgentPusher(parts.outbox, parts.database, push, registry=registry).start(background)
    MailRequestWorker(
        parts.database,
        parts.outbox,
        parts.clock,
        mails=parts.mails,
        forced_reset=parts.forced_reset,
        limit=parts.settings.rate_limit_password_reset,
        added=parts.requests.added,
    ).start(background)
    expiry = Expiry(parts.database, parts.outbox, parts.clock, life=parts.settings.unverified_life)
    Housekeeping(parts.database, parts.clock, expiry=expiry).start(background)


async def _bootstrap(parts: Parts) -> None:
    settings = parts.settings
    if settings.bootstrap_admin_email is None or settings.bootstrap_admin_password is None:
        return
    wanted = FirstAdministrator(
        email=settings.bootstrap_admin_email,
        username=settings.bootstrap_admin_username,
        password=settings.bootstrap_admin_password.get_secret_value(),
        must_change=settings.bootstrap_admin_must_change,
    )
    bootstrap = Bootstrap(parts.database, parts.outbox, parts.clock, choice=parts.choice)
    try:
        await bootstrap.ensure(wanted)
    except BootstrapRefused as refusal:
        raise refused([str(refusal)]) from None
