"""The signing keys put together, for the service and for the operator's command."""

from dataclasses import dataclass
from datetime import timedelta

from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from chassis.settings import refused
from services.token.domain.keys import JWKS_MAX_AGE, RotationPolicy
from services.token.keys import KeyRing
from services.token.service.key_administration import KeyAdministration
from services.token.service.key_metrics import KeyMetrics
from services.token.service.key_operations import KeyOperations
from services.token.service.key_rotation import KeyRotation
from services.token.service.signing_keys import SigningKeys
from services.token.settings import TokenSettings

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTiming:
    """By what time keys are rotated, and how long the JWKS may be cached.

    *clock* None is the time of the database. Everything a rotation waits for follows from
    *jwks_max_age*, which clients are told: no setting could let a key sign too early.
    """

    clock: Clock | None = None
    jwks_max_age: timedelta = JWKS_MAX_AGE


def signing_keys(
    settings: TokenSettings, *, database: Database, outbox: Outbox, timing: KeyTiming
) -> SigningKeys:
    """Build what reads and changes the stored keys."""
    return SigningKeys(
        database=database,
        outbox=outbox,
        ring=KeyRing(settings.signing_key_encryption_keys),
        policy=RotationPolicy(
            algorithm=settings.signing_algorithm,
            rotate_after=timedelta(days=settings.key_rotation_days),
            access_ttl=settings.access_token_ttl,
            jwks_max_age=timing.jwks_max_age,
        ),
        encryption_keys=settings.signing_key_encryption_keys,
        clock=timing.clock,
    )


def key_rotation(keys: SigningKeys, clock: Clock, metrics: Metrics) -> KeyRotation:
    """Build what looks after the keys unattended; *clock* is the one that tokens are made by."""
    return KeyRotation(keys, KeyMetrics(keys.policy, clock, metrics.registry))


def key_administration(keys: SigningKeys) -> KeyAdministration:
    """Build what administrators can do."""
    return KeyAdministration(keys.database, KeyOperations(keys))


async def load_keys(rotation: KeyRotation, ring: KeyRing) -> None:
    """Load or make the signing key; a database that is away is waited for by `rotation.run`.

    Exits 78 when a stored key cannot be opened.
    """
    try:
        await rotation.rotate()
    except DatabaseUnavailable:
        log.warning("signing_keys.not_loaded", reason="database_unavailable")
    if kids := sorted(ring.unopened):
        none = "SIGNING_KEY_ENCRYPTION_KEYS: none of them opens the stored signing key"
        raise refused([f"{none} {kid}" for kid in kids])
