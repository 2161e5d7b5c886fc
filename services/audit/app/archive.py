"""How the archive is put together, for the service and for the operator's command."""

import secrets

from chassis.clock import Clock
from chassis.database import Database
from chassis.outbox import Outbox
from services.audit.archive_store import S3Settings, open_store
from services.audit.domain.archive.manifest import Signer
from services.audit.models import OUTBOX
from services.audit.service.archive.archiver import Archiver
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.target import KeyRing, Target
from services.audit.settings import AuditSettings

_ARCHIVER_POOL = 2
_ARCHIVER_SECONDS = 120.0


def archive_target(settings: AuditSettings) -> Target | None:
    """Return what archives are written to and read with; None when none is configured."""
    if settings.archive_url is None:
        return None
    secret = settings.archive_s3_secret_access_key
    s3 = S3Settings(
        endpoint=settings.archive_s3_endpoint,
        region=settings.archive_s3_region,
        access_key_id=settings.archive_s3_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
        timeout_seconds=settings.archive_timeout_seconds,
    )
    return Target(
        store=open_store(settings.archive_url, s3),
        ring=KeyRing(
            encryption_keys=settings.archive_key_encryption_keys, new_bytes=secrets.token_bytes
        ),
        signer=Signer(settings.archive_signing_keys),
    )


def archiver(settings: AuditSettings, *, clock: Clock, metrics: ArchiveMetrics) -> Archiver:
    """Return the archiver, on connections of its own: its statements may take their time."""
    return Archiver(
        database=Database(
            settings.database_url.get_secret_value(),
            pool_min=1,
            pool_max=_ARCHIVER_POOL,
            timeout=_ARCHIVER_SECONDS,
        ),
        target=archive_target(settings),
        outbox=Outbox("audit", OUTBOX, clock),
        clock=clock,
        metrics=metrics,
        retention=settings.audit_retention,
        personal_retention=settings.archive_personal_retention,
    )
