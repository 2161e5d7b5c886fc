"""What runs beside the requests."""

from datetime import timedelta

from chassis.clock import Clock
from chassis.database import Database
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from services.token.domain.keys import RotationPolicy
from services.token.keys import KeyRing
from services.token.service.key_rotation import KeyRotation
from services.token.service.revocations import Revocations
from services.token.service.sharing import Sharing
from services.token.settings import TokenSettings
from services.token.shared_denylist import SharedDenyList


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
