"""What runs beside the requests."""

from chassis.clock import Clock
from chassis.metrics import Metrics
from services.token.service.revocations import Revocations
from services.token.service.sharing import Sharing
from services.token.settings import TokenSettings
from services.token.shared_denylist import SharedDenyList


def sharing(
    settings: TokenSettings, *, revocations: Revocations, clock: Clock, metrics: Metrics
) -> Sharing | None:
    """Build what keeps the deny list in Redis; nothing without REDIS_URL."""
    if settings.redis_url is None:
        return None
    shared = SharedDenyList.from_url(settings.redis_url.get_secret_value())
    return Sharing(shared, revocations, clock, metrics)
