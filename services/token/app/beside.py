"""What runs beside the requests, and whom they are passed on to."""

from typing import TYPE_CHECKING

from chassis.assertions import AssertionSigner
from chassis.clock import Clock
from chassis.internal import InternalClient
from chassis.metrics import Metrics
from services.token.service.revocations import Revocations
from services.token.settings import TokenSettings

if TYPE_CHECKING:
    from services.token.service.sharing import Sharing

# More than wait for a hash at any time: the queue is identity's, not this client's.
_LOGINS_AT_ONCE = 200


def identity_peer(settings: TokenSettings, clock: Clock) -> InternalClient:
    """Build what calls identity."""
    signer = AssertionSigner(
        issuer="token",
        audience="identity",
        secrets=settings.assertion_secrets_to_identity,
        clock=clock,
    )
    return InternalClient(settings.identity_url, signer, connections=_LOGINS_AT_ONCE)


def sharing(
    settings: TokenSettings, *, revocations: Revocations, clock: Clock, metrics: Metrics
) -> "Sharing | None":
    """Build what keeps the deny list in Redis; nothing without REDIS_URL."""
    if settings.redis_url is None:
        return None
    # redis-py is six MiB: for who has a Redis.
    from services.token.service.sharing import Sharing  # noqa: PLC0415 - as said
    from services.token.shared_denylist import SharedDenyList  # noqa: PLC0415 - as said

    shared = SharedDenyList.from_url(settings.redis_url.get_secret_value())
    return Sharing(shared, revocations, clock, metrics)
