"""What the gateway knows of tokens and addresses, where from, and what it tells others."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from chassis.assertions import AssertionSigner
from chassis.clock import Clock
from chassis.internal import InternalClient
from chassis.jwt import AccessTokenVerifier
from chassis.metrics import Metrics
from gateway.authentication import Authentication
from gateway.block_feed import BlockFeed
from gateway.block_file import BlockFile
from gateway.blocklist import BlockList
from gateway.browser.cookies import PlatformCookies
from gateway.denials import Denials
from gateway.denylist import DenyList
from gateway.keys import KeyStore
from gateway.proxy.assertions import ISSUER
from gateway.revocations import RevocationFeed
from gateway.settings import GatewaySettings
from gateway.shedding.lag import LoopLag
from gateway.shedding.shedding import Shedding
from gateway.streams import OpenStreams
from gateway.tokens import VerifiedTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Everything a request is judged by that is not in the request."""

    client: InternalClient
    keys: KeyStore
    revocations: RevocationFeed
    tokens: VerifiedTokens
    denylist: DenyList
    authentication: Authentication
    streams: OpenStreams
    blocks: BlockFeed
    denials: Denials
    shedding: Shedding


def knowledge_of(
    settings: GatewaySettings,
    signers: Mapping[str, AssertionSigner],
    clock: Clock,
    metrics: Metrics,
    *,
    lag: LoopLag | None = None,
) -> Knowledge:
    """Build it; nothing is asked before the clients are opened."""
    tokens, denylist = VerifiedTokens(clock), DenyList(clock)
    client = InternalClient(settings.token_url, signers["token"], connections=4)
    audit = InternalClient(settings.audit_url, signers["audit"], connections=1)
    file = BlockFile(settings.state_dir)

    def forget_key(kid: str) -> None:
        tokens.drop("kid", kid)
        streams.recheck("kid", kid)

    keys = KeyStore(client, clock, metrics, on_removed=forget_key)
    streams = OpenStreams(
        clock, denylist, metrics, is_trusted=lambda kid: kid in keys.current().kids
    )
    verifier = AccessTokenVerifier(
        issuer=settings.public_base_url, audience=settings.audience, clock=clock
    )
    authentication = Authentication(verifier, keys, denylist, tokens)
    return Knowledge(
        client=client,
        keys=keys,
        revocations=RevocationFeed(
            client, clock, metrics, denylist=denylist, tokens=tokens, streams=streams, keys=keys
        ),
        tokens=tokens,
        denylist=denylist,
        authentication=authentication,
        streams=streams,
        blocks=BlockFeed(audit, clock, metrics, blocks=BlockList(clock), file=file),
        denials=Denials(clock, metrics),
        shedding=_shedding(settings, authentication, lag or LoopLag(monotonic), metrics),
    )


def _shedding(
    settings: GatewaySettings, authentication: Authentication, lag: LoopLag, metrics: Metrics
) -> Shedding:
    return Shedding(
        lag,
        metrics,
        above=settings.shed_above_ms / 1000,
        authentication=authentication,
        cookies=PlatformCookies(secure=not settings.on_plain_loopback),
    )


def signers_of(settings: GatewaySettings, clock: Clock) -> Mapping[str, AssertionSigner]:
    """Return what signs the calls to each of our own services (D13)."""
    return {
        audience: AssertionSigner(issuer=ISSUER, audience=audience, secrets=secrets, clock=clock)
        for audience, secrets in settings.assertion_secrets.items()
    }
