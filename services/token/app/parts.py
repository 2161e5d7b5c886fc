"""Everything the service is made of, and the order in which it comes up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from chassis.app import Deployable, service_app
from chassis.assertions import AssertionVerifier
from chassis.background import Background
from chassis.bus import EventBus
from chassis.clock import Clock, SystemClock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.health import Health
from chassis.jwt import AccessTokenVerifier
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from chassis.rabbitmq import open_bus
from chassis.relay import Relay
from chassis.schema_version import schema_check
from services.token import models
from services.token.access_tokens import AccessTokens
from services.token.app.beside import identity_peer, sharing
from services.token.app.oauth import oauth_endpoints
from services.token.app.signing import (
    KeyTiming,
    key_administration,
    key_rotation,
    load_keys,
    signing_keys,
)
from services.token.consumers import QUEUE, subscriptions
from services.token.identity_client import IdentityClient
from services.token.routes import Endpoints, routes
from services.token.service.administration import Administration
from services.token.service.denials import Denials
from services.token.service.endings import Endings
from services.token.service.global_ending import GlobalEnding
from services.token.service.global_revoking import GlobalRevoking
from services.token.service.housekeeping import Housekeeping
from services.token.service.issuing import Issuing
from services.token.service.login import Login
from services.token.service.refresh import Refresh
from services.token.service.revocations import Revocations
from services.token.service.sessions import Sessions
from services.token.service.subject_cache import SubjectCache
from services.token.service.subject_changes import SubjectChanges
from services.token.settings import TokenSettings

_INTERNAL = {
    "/internal/v1/revocations": frozenset({"gateway"}),
    "/internal/v1/subject-changes": frozenset({"identity"}),
}


def build(
    settings: TokenSettings,
    *,
    bus: EventBus | None = None,
    clock: Clock | None = None,
    timing: KeyTiming | None = None,
) -> Deployable:
    """Build token; without *bus* it talks to RABBITMQ_URL.

    Exits 78 when there is neither.
    """
    used = bus or open_bus(settings, name="token")
    parts = Parts(settings, used, clock or SystemClock(), timing or KeyTiming())
    return parts.deployable(owns_bus=bus is None)


class Parts:
    """Everything the service is made of, and the order in which it comes up."""

    def __init__(
        self, settings: TokenSettings, bus: EventBus, clock: Clock, timing: KeyTiming
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._metrics = Metrics()
        self._database = Database(
            settings.database_url.get_secret_value(),
            pool_min=settings.database_pool_min,
            pool_max=settings.database_pool_max,
        )
        self._outbox = Outbox("token", models.outbox, clock)
        self._keys = signing_keys(
            settings, database=self._database, outbox=self._outbox, timing=timing
        )
        self._revocations = Revocations(database=self._database, clock=clock)
        self._sharing = sharing(
            settings, revocations=self._revocations, clock=clock, metrics=self._metrics
        )
        self._denials = Denials(self._sharing.hear if self._sharing else None)
        self._endings = Endings(self._outbox, self._denials, settings.access_token_ttl)
        self._identity_http = identity_peer(settings, clock)
        self._consumer = Consumer(
            QUEUE,
            subscriptions(self._subject_changes()),
            self._database,
            models.inbox,
            clock,
            registry=self._metrics.registry,
        )
        self.rotation = key_rotation(self._keys, clock, self._metrics)
        self.housekeeping = Housekeeping(
            database=self._database, endings=self._endings, clock=clock
        )
        self.global_ending = GlobalEnding(
            database=self._database, endings=self._endings, clock=clock, metrics=self._metrics
        )

    def deployable(self, *, owns_bus: bool) -> Deployable:
        """Return the service, ready to be served."""
        health = Health()
        health.add_check("database", self._database.ping)
        health.add_check("schema", schema_check(self._database, models.__file__))
        health.add_check("signing_key", self.has_signing_key)
        settings = self._settings
        return Deployable(
            name="token",
            settings=settings,
            http=service_app(
                routes=routes(self.endpoints()),
                metrics=self._metrics,
                verifier=AssertionVerifier(
                    audience="token",
                    secrets={
                        "gateway": settings.assertion_secrets_from_gateway,
                        "identity": settings.assertion_secrets_from_identity,
                    },
                    clock=self._clock,
                ),
                internal=_INTERNAL,
            ),
            lifespan=lambda: self.running(owns_bus=owns_bus),
            health=health,
            metrics=self._metrics,
        )

    async def has_signing_key(self) -> None:
        """Raise SigningKeyMissing as long as no token can be signed."""
        _ = self._keys.ring.signing_key

    def endpoints(self) -> Endpoints:
        """Return the use cases behind the URLs."""
        settings = self._settings
        issuing = Issuing(
            AccessTokens(settings.issuer, settings.audience, self._keys.ring), settings.lifetimes
        )
        identity = IdentityClient(
            self._identity_http,
            timeout=settings.authenticate_timeout,
            deadline=settings.authenticate_deadline,
        )
        verifier = AccessTokenVerifier(
            issuer=settings.issuer, audience=settings.audience, clock=self._clock
        )
        subjects = SubjectCache(identity=identity, database=self._database, clock=self._clock)
        return Endpoints(
            issuer=settings.issuer,
            login_=self._login(identity, issuing),
            refresh_=self._refresh(subjects, issuing),
            sessions_=Sessions(
                database=self._database,
                endings=self._endings,
                clock=self._clock,
                verifier=verifier,
                keys=self._keys.ring,
            ),
            administration_=Administration(
                database=self._database,
                endings=self._endings,
                subjects=subjects,
                clock=self._clock,
            ),
            revocations_=self._revocations,
            consumer=self._consumer,
            keys=self._keys.ring,
            key_administration=key_administration(self._keys),
            global_revoking=GlobalRevoking(
                keys=self._keys, wanted=self.global_ending.wanted, metrics=self._metrics
            ),
            jwks_max_age=self._keys.policy.jwks_max_age,
            oauth=oauth_endpoints(
                settings,
                database=self._database,
                endings=self._endings,
                clock=self._clock,
                verifier=verifier,
                keys=self._keys.ring,
                metrics=self._metrics,
            ),
        )

    @asynccontextmanager
    async def running(self, *, owns_bus: bool) -> AsyncIterator[None]:
        """Run everything that is not a request, from the first to the last of them."""
        registry = self._metrics.registry
        try:
            await load_keys(self.rotation, self._keys.ring)
            async with self._identity_http, Background(registry=registry) as background:
                Relay(self._outbox, self._database, self._bus, registry=registry).start(background)
                await self._consumer.start(self._bus, background)
                background.start("signing_keys", lambda: self.rotation.run(background))
                background.start("housekeeping", lambda: self.housekeeping.run(background))
                background.start("global_ending", lambda: self.global_ending.run(background))
                if self._sharing is not None:
                    self._sharing.start(background)
                yield
        finally:
            if self._sharing is not None:
                await self._sharing.close()
            if owns_bus:
                await self._bus.close()
            await self._database.close()

    def _login(self, identity: IdentityClient, issuing: Issuing) -> Login:
        return Login(
            identity=identity,
            database=self._database,
            outbox=self._outbox,
            endings=self._endings,
            issuing=issuing,
            clock=self._clock,
            max_sessions=self._settings.max_sessions_per_user,
        )

    def _refresh(self, subjects: SubjectCache, issuing: Issuing) -> Refresh:
        return Refresh(
            database=self._database,
            outbox=self._outbox,
            endings=self._endings,
            issuing=issuing,
            subjects=subjects,
            clock=self._clock,
            grace=timedelta(seconds=self._settings.refresh_grace_seconds),
            rate=self._settings.rate_limit_per_user,
        )

    def _subject_changes(self) -> SubjectChanges:
        return SubjectChanges(
            outbox=self._outbox,
            denials=self._denials,
            endings=self._endings,
            clock=self._clock,
            access_ttl=self._settings.access_token_ttl,
        )
