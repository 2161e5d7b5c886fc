"""The service as it is served: its HTTP app, its health, its life."""

from chassis.app import Deployable, service_app
from chassis.assertions import AssertionVerifier
from chassis.bus import EventBus
from chassis.clock import Clock, SystemClock
from chassis.health import Health
from chassis.rabbitmq import open_bus
from chassis.schema_version import schema_check
from services.identity import models
from services.identity.app.parts import Parts
from services.identity.app.running import running
from services.identity.app.use_cases import use_cases
from services.identity.hashing import Argon2Parameters
from services.identity.routes import routes
from services.identity.settings import IdentitySettings

_INTERNAL = {"/internal/v1/": frozenset({"token"})}


def build(
    settings: IdentitySettings,
    *,
    bus: EventBus | None = None,
    clock: Clock | None = None,
    argon2: Argon2Parameters | None = None,
) -> Deployable:
    """Build identity; without *bus* it talks to RABBITMQ_URL.

    *argon2* is for tests: no setting makes a hash cheaper. Exits 78 when there is no bus.
    """
    parts = Parts(
        settings, bus or open_bus(settings, name="identity"), clock or SystemClock(), argon2
    )
    health = Health()
    health.add_check("database", parts.database.ping)
    health.add_check("schema", schema_check(parts.database, models.__file__))
    return Deployable(
        name="identity",
        settings=settings,
        http=service_app(
            routes=routes(use_cases(parts)),
            metrics=parts.metrics,
            verifier=AssertionVerifier(
                audience="identity",
                secrets={
                    "gateway": settings.assertion_secrets_from_gateway,
                    "token": settings.assertion_secrets_from_token,
                },
                clock=parts.clock,
            ),
            internal=_INTERNAL,
        ),
        lifespan=lambda: running(parts, owns_bus=bus is None),
        health=health,
        metrics=parts.metrics,
    )
