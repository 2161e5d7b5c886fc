"""How old the gateway's knowledge is: the age of each kind is a metric."""

from datetime import timedelta
from pathlib import Path

from chassis.assertions import AssertionSigner
from chassis.background import Background
from chassis.internal import InternalClient
from chassis.metrics import Metrics
from chassis.testing import eventually
from chassis.testing.clock import FixedClock
from gateway.keys import KeyStore
from gateway.tests.upstreams import TokenService, secret_of, serving
from gateway.tests.world import World
from gateway.tests.world import world as start_world

KINDS = ("jwks", "revocations", "ip_blocks")


def age(metrics: Metrics, kind: str) -> float | None:
    """Return how old one kind of knowledge is, in seconds."""
    return metrics.registry.get_sample_value(f"gatehouse_gateway_{kind}_staleness_seconds")


class TestKeySet:
    """The JWKS."""

    async def test_grows_old_until_token_answers_again(self) -> None:
        """A failed fetch makes nothing younger."""
        clock, metrics = FixedClock(), Metrics()
        signer = AssertionSigner(
            issuer="gateway", audience="token", secrets=(secret_of("token"),), clock=clock
        )
        token = TokenService()
        async with (
            serving(token=token) as urls,
            InternalClient(urls["token"], signer, connections=1) as client,
            Background() as background,
        ):
            keys = KeyStore(client, clock, metrics, on_removed=lambda _: None)
            background.start("jwks", lambda: keys.watch(background))
            await eventually(lambda: keys.loaded)
            assert age(metrics, "jwks") == 0
            clock.advance(timedelta(seconds=30))
            token.away = True
            keys.refresh_soon()
            await eventually(lambda: failed(metrics) == 1)
            assert age(metrics, "jwks") == 30
            token.away = False
            await eventually(lambda: age(metrics, "jwks") == 0)


class TestEveryKind:
    """Keys, deny list and blocks."""

    async def test_has_an_age(self, tmp_path: Path) -> None:
        """They grow while nobody answers, each for itself, and the gateway goes on."""
        async with start_world(tmp_path) as world:
            world.token.away = True
            before = ages(world)
            await eventually(lambda: ages(world)[0] > before[0] and ages(world)[1] > 3)
            assert ages(world)[2] < ages(world)[1]
            world.token.away, world.audit.away = False, True
            await eventually(lambda: ages(world)[1] < 2 < ages(world)[2])


def ages(world: World) -> list[float]:
    """Return the ages of all kinds."""
    return [age(world.gateway.metrics, kind) or 0 for kind in KINDS]


def failed(metrics: Metrics) -> float | None:
    """Return how many fetches of the keys have failed."""
    name = "gatehouse_gateway_jwks_fetches_total"
    return metrics.registry.get_sample_value(name, {"outcome": "failed"})
