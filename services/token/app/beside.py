"""What runs beside the requests, and whom they are passed on to."""

from datetime import timedelta

from chassis.assertions import AssertionSigner
from chassis.clock import Clock
from chassis.database import Database
from chassis.internal import InternalClient
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from services.token.domain.keys import RotationPolicy
from services.token.keys import KeyRing
from services.token.service.key_rotation import KeyRotation
from services.token.service.revocations import Revocations
from services.token.service.sharing import Sharing
from services.token.settings import TokenSettings
from services.token.shared_denylist import SharedDenyList

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


def key_rotation(
    settings: TokenSettings, *, database: Database, outbox: Outbox, ring: KeyRing, clock: Clock
) -> KeyRotation:
    """Build what looks after the signing keys."""
    return KeyRotation(
        database=database,
        outbox=outbox,
        ring=ring,
        clock=clock,
        policy=RotationPolicy(
            algorithm=settings.signing_algorithm,
            rotate_after=timedelta(days=settings.key_rotation_days),
            access_ttl=settings.access_token_ttl,
        ),
        encryption_keys=settings.signing_key_encryption_keys,
    )


def sharing(
    settings: TokenSettings, *, revocations: Revocations, clock: Clock, metrics: Metrics
) -> Sharing | None:
    """Build what keeps the deny list in Redis; nothing without REDIS_URL."""
    if settings.redis_url is None:
        return None
    shared = SharedDenyList.from_url(settings.redis_url.get_secret_value())
    return Sharing(shared, revocations, clock, metrics)
