"""What serves confidential clients."""

from chassis.clock import Clock
from chassis.database import Database
from chassis.jwt import AccessTokenVerifier
from chassis.metrics import Metrics
from chassis.settings import refused
from services.token.keys import KeyRing
from services.token.oauth_clients import Clients, ClientsInvalid, load_clients
from services.token.routes.oauth import OAuthEndpoints
from services.token.service.clients import ClientAuthentication
from services.token.service.endings import Endings
from services.token.service.introspection import Introspection
from services.token.service.revoking import Revoking
from services.token.settings import TokenSettings


def oauth_endpoints(
    settings: TokenSettings,
    *,
    database: Database,
    endings: Endings,
    clock: Clock,
    verifier: AccessTokenVerifier,
    keys: KeyRing,
    metrics: Metrics,
) -> OAuthEndpoints:
    """Build the endpoints; exits 78 when the file of clients does not hold."""
    return OAuthEndpoints(
        issuer=settings.issuer,
        audience=settings.audience,
        clients=ClientAuthentication(
            clients=_clients(settings),
            database=database,
            outbox=endings.outbox,
            clock=clock,
            metrics=metrics,
        ),
        introspection=Introspection(
            database=database,
            clock=clock,
            verifier=verifier,
            keys=keys,
            audience=settings.audience,
        ),
        revoking=Revoking(
            database=database,
            endings=endings,
            clock=clock,
            verifier=verifier,
            keys=keys,
            audience=settings.audience,
        ),
    )


def _clients(settings: TokenSettings) -> Clients:
    if settings.oauth_clients_file is None:
        return {}
    try:
        return load_clients(settings.oauth_clients_file)
    except ClientsInvalid as error:
        raise refused(error.lines) from None
