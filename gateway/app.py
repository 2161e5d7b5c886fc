"""How the gateway is put together; the only place that constructs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from yarl import URL

from chassis.app import Deployable
from chassis.assertions import AssertionSigner
from chassis.background import Background
from chassis.bus import EventBus
from chassis.clock import Clock, SystemClock
from chassis.health import Health
from chassis.internal import InternalClient
from chassis.jwt import AccessTokenVerifier
from chassis.metrics import Metrics
from chassis.middleware import RequestMiddleware
from chassis.rabbitmq import RabbitMQBus
from chassis.settings import refused
from gateway.address import ClientAddresses
from gateway.authentication import Authentication
from gateway.block_feed import BINDINGS as BLOCKS
from gateway.block_feed import BlockFeed
from gateway.block_file import BlockFile
from gateway.blocklist import BlockList
from gateway.browser.wiring import browsers
from gateway.cors import CrossOrigin
from gateway.denials import Denials
from gateway.denylist import DenyList
from gateway.edge import Edge, Parts
from gateway.keys import KeyStore
from gateway.limits.wiring import Counting, counting_of
from gateway.open_requests import OpenRequests
from gateway.pages.hosted import MAILED, REFERENCE, HostedPages
from gateway.protocol import GatewayProtocol
from gateway.proxy.forwarding import Proxy
from gateway.proxy.headers import OutgoingHeaders
from gateway.readiness import add_checks
from gateway.revocations import BINDINGS as REVOCATIONS
from gateway.revocations import RevocationFeed
from gateway.routing.loading import BUILT_IN, RoutesInvalid, Surroundings, load_table
from gateway.routing.table import RouteTable
from gateway.settings import GatewaySettings
from gateway.streams import OpenStreams
from gateway.tokens import VerifiedTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Knowledge:
    """What the gateway knows of tokens and addresses, where from, and what it tells others."""

    client: InternalClient
    keys: KeyStore
    revocations: RevocationFeed
    authentication: Authentication
    streams: OpenStreams
    blocks: BlockFeed
    denials: Denials


def build(
    settings: GatewaySettings, *, bus: EventBus | None = None, clock: Clock | None = None
) -> Deployable:
    """Build the gateway; *bus* None means RabbitMQ when its URL is set, else polling alone.

    Exits 78 with every complaint when the route files do not hold.
    """
    clock = clock or SystemClock()
    metrics, health = Metrics(), Health()
    signers = _signers(settings, clock)
    knowledge = _knowledge(settings, signers, clock, metrics)
    counting = counting_of(settings, clock, metrics)
    proxy = Proxy(
        signers=signers,
        headers=_outgoing(settings),
        streams=knowledge.streams,
        metrics=metrics,
        now=monotonic,
    )
    edge = _edge(settings, knowledge, counting, proxy, metrics)
    with_events = bool(bus or settings.rabbitmq_url)
    add_checks(health, knowledge.keys, knowledge.revocations, with_events=with_events)

    def lifespan() -> AbstractAsyncContextManager[None]:
        background = Background(registry=metrics.registry)
        return _alive(knowledge, counting, proxy, background, bus or _rabbitmq(settings))

    return Deployable(
        name="gateway",
        settings=settings,
        http=RequestMiddleware(edge, metrics=metrics, trust_request_id=False),
        lifespan=lifespan,
        health=health,
        metrics=metrics,
        protocol=GatewayProtocol,
    )


@asynccontextmanager
async def _alive(
    knowledge: _Knowledge,
    counting: Counting,
    proxy: Proxy,
    background: Background,
    bus: EventBus | None,
) -> AsyncIterator[None]:
    """Hold open what the requests need, and keep the knowledge fresh beside them."""
    async with AsyncExitStack() as stack:
        if counting.redis:
            stack.push_async_callback(counting.redis.close)
        await stack.enter_async_context(proxy)
        await stack.enter_async_context(knowledge.client)
        await stack.enter_async_context(knowledge.blocks.client)
        await stack.enter_async_context(background)
        background.start("jwks", lambda: knowledge.keys.watch(background))
        background.start("revocations", lambda: knowledge.revocations.watch(background))
        await knowledge.blocks.load()
        background.start("ip_blocks", lambda: knowledge.blocks.watch(background))
        background.start("upstreams", lambda: proxy.watch(background))
        failover = counting.failover
        if failover:
            background.start("redis", lambda: failover.watch(background))
        if bus:
            await _connect(stack, bus, knowledge)
            background.start("denials", lambda: knowledge.denials.watch(background))
        yield


async def _connect(stack: AsyncExitStack, bus: EventBus, knowledge: _Knowledge) -> None:
    """Hear what others tell, and tell others what was refused."""
    if isinstance(bus, RabbitMQBus):  # made here; an in-process bus is its maker's to close
        stack.push_async_callback(bus.close)
    revocations, blocks = knowledge.revocations, knowledge.blocks
    told = await bus.subscribe_ephemeral(
        REVOCATIONS,
        revocations.on_event,
        on_bound=revocations.on_bound,
        on_lost=revocations.on_lost,
    )
    stack.push_async_callback(told.stop)
    told = await bus.subscribe_ephemeral(BLOCKS, blocks.on_event, on_bound=blocks.on_bound)
    stack.push_async_callback(told.stop)
    knowledge.denials.tell(bus)
    stack.push_async_callback(knowledge.denials.close)


def _edge(
    settings: GatewaySettings,
    knowledge: _Knowledge,
    counting: Counting,
    proxy: Proxy,
    metrics: Metrics,
) -> Edge:
    pages = HostedPages(*MAILED, *(REFERENCE if settings.serves_docs else ()))
    table = _table(settings, pages)
    proxy.use(table.upstreams)
    return Edge(
        Parts(
            table=table,
            hosts=settings.hosts,
            addresses=ClientAddresses(settings.trusted_proxies),
            blocks=knowledge.blocks,
            open_requests=OpenRequests(settings.max_open_requests_per_address, metrics),
            denials=knowledge.denials,
            origins=CrossOrigin(settings.cors_allowed_origins),
            authentication=knowledge.authentication,
            browsers=browsers(settings, knowledge.authentication),
            limiter=counting.failover or counting.memory,
            proxy=proxy,
            pages=pages,
            metrics=metrics,
        )
    )


def _rabbitmq(settings: GatewaySettings) -> EventBus | None:
    if settings.rabbitmq_url is None:
        return None
    return RabbitMQBus(settings.rabbitmq_url.get_secret_value(), name="gateway")


def _knowledge(
    settings: GatewaySettings,
    signers: Mapping[str, AssertionSigner],
    clock: Clock,
    metrics: Metrics,
) -> _Knowledge:
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
    return _Knowledge(
        client=client,
        keys=keys,
        revocations=RevocationFeed(
            client, clock, metrics, denylist=denylist, tokens=tokens, streams=streams, keys=keys
        ),
        authentication=Authentication(verifier, keys, denylist, tokens),
        streams=streams,
        blocks=BlockFeed(audit, clock, metrics, blocks=BlockList(clock), file=file),
        denials=Denials(clock, metrics),
    )


def _table(settings: GatewaySettings, pages: HostedPages) -> RouteTable:
    switches = {"dev_inbox": settings.dev_inbox, "docs": settings.serves_docs}
    flags = {settings.environment} | {name for name, on in switches.items() if on}
    surroundings = Surroundings(
        services=settings.services,
        rates=settings.rates,
        flags=frozenset(flags),
        pages=pages.names,
    )
    own = (settings.routes_file,) if settings.routes_file else ()
    try:
        return load_table(surroundings, BUILT_IN, *own)
    except RoutesInvalid as error:
        raise refused(error.lines) from None


def _signers(settings: GatewaySettings, clock: Clock) -> Mapping[str, AssertionSigner]:
    return {
        audience: AssertionSigner(issuer="gateway", audience=audience, secrets=secrets, clock=clock)
        for audience, secrets in settings.assertion_secrets.items()
    }


def _outgoing(settings: GatewaySettings) -> OutgoingHeaders:
    public = URL(settings.public_base_url)
    return OutgoingHeaders(scheme=public.scheme, host=public.host_port_subcomponent or "")
