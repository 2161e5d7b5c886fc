"""How the gateway is put together; the only place that constructs."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from time import monotonic

from chassis.app import Deployable, Door
from chassis.background import Background
from chassis.bus import EventBus
from chassis.clock import Clock, SystemClock
from chassis.health import Health
from chassis.metrics import Metrics
from chassis.middleware import RequestMiddleware
from chassis.settings import refused
from gateway.address import ClientAddresses
from gateway.block_feed import BINDINGS as BLOCKS
from gateway.browser.wiring import browsers
from gateway.client_changes import ClientChanges
from gateway.connections.wiring import protocols_of
from gateway.cors import CrossOrigin
from gateway.edge import Edge, Parts
from gateway.fast_path.admission import Admission
from gateway.fast_path.callers import Callers
from gateway.fast_path.lane import FastPath
from gateway.fast_path.plans import Plans
from gateway.fast_path.protocol import protocol_with
from gateway.forward_auth.door import ForwardAuth, Judges
from gateway.knowledge import Knowledge, knowledge_of, signers_of
from gateway.limits.limiter import Limiter
from gateway.limits.wiring import Counting, counting_of
from gateway.open_requests import OpenRequests
from gateway.proxy.assertions import Assertions
from gateway.proxy.forwarding import Proxy
from gateway.proxy.headers import OutgoingHeaders
from gateway.proxy.inbound import Forwarder
from gateway.readiness import add_checks
from gateway.revocations import BINDINGS as REVOCATIONS
from gateway.routing.source import RoutesInvalid
from gateway.routing.wiring import Site, site_of
from gateway.settings import FORWARD_AUTH_DOOR, GatewaySettings
from gateway.shedding.lag import LoopLag


def build(
    settings: GatewaySettings,
    *,
    bus: EventBus | None = None,
    clock: Clock | None = None,
    lag: LoopLag | None = None,
) -> Deployable:
    """Build the gateway; *bus* None means RabbitMQ when its URL is set, else polling alone.

    Exits 78 with every complaint when the route files do not hold.
    """
    clock = clock or SystemClock()
    metrics, health = Metrics(), Health()
    site = _site(settings, metrics)
    signers = signers_of(settings, clock)
    knowledge = knowledge_of(settings, signers, clock, metrics, lag=lag)
    counting = counting_of(settings, clock, metrics, knowledge.denylist)
    headers = OutgoingHeaders.under(settings.public_base_url)
    proxy = Proxy(
        assertions=Assertions(signers, clock),
        headers=headers,
        streams=knowledge.streams,
        metrics=metrics,
        now=monotonic,
    )
    proxy.use(site.routes.table.upstreams)
    limiter = counting.limiter
    parts = parts_of(settings, site, knowledge, limiter=limiter, proxy=proxy, metrics=metrics)
    fast = protocol_with(_fast_path(parts, proxy, headers))
    protocols = protocols_of(settings, metrics, public=fast)
    forward_auth = _forward_auth(settings, site, knowledge, limiter)
    with_events = bool(bus or settings.rabbitmq_url)
    add_checks(health, knowledge.keys, knowledge.revocations, with_events=with_events)

    async def reload() -> None:
        await site.routes.reload()
        proxy.use(site.routes.table.upstreams)

    def lifespan() -> AbstractAsyncContextManager[None]:
        background = Background(registry=metrics.registry)
        return _alive(knowledge, counting, proxy, background, _bus(bus, settings))

    return Deployable(
        name="gateway",
        settings=settings,
        http=RequestMiddleware(Edge(parts), metrics=metrics, trust_request_id=False),
        lifespan=lifespan,
        health=health,
        metrics=metrics,
        protocol=protocols["http"],
        reload=reload,
        doors=_doors(settings, forward_auth, protocols, metrics),
    )


def _fast_path(parts: Parts, proxy: Proxy, headers: OutgoingHeaders) -> FastPath:
    plans = Plans(lambda: parts.routes.table, proxy.entrance)
    return FastPath(parts, Admission(parts, plans, Callers(parts.addresses, headers)))


def parts_of(
    settings: GatewaySettings,
    site: Site,
    knowledge: Knowledge,
    *,
    limiter: Limiter,
    proxy: Forwarder,
    metrics: Metrics,
) -> Parts:
    """Build what judges requests; `gateway.check` has it judge some that nobody has sent."""
    return Parts(
        routes=site.routes,
        hosts=settings.hosts,
        addresses=ClientAddresses(settings.trusted_proxies),
        blocks=knowledge.blocks,
        open_requests=OpenRequests(settings.max_open_requests_per_address, metrics),
        denials=knowledge.denials,
        origins=CrossOrigin(settings.cors_allowed_origins),
        authentication=knowledge.authentication,
        browsers=browsers(settings, knowledge.authentication),
        limiter=limiter,
        proxy=proxy,
        pages=site.pages,
        shedding=knowledge.shedding,
        changes=ClientChanges(metrics),
        metrics=metrics,
    )


def _forward_auth(
    settings: GatewaySettings, site: Site, knowledge: Knowledge, limiter: Limiter
) -> ForwardAuth:
    """Build what other proxies ask; it judges by what the edge judges by."""
    return ForwardAuth(
        Judges(
            routes=site.routes,
            addresses=ClientAddresses(settings.trusted_proxies),
            blocks=knowledge.blocks,
            shedding=knowledge.shedding,
            modes=browsers(settings, knowledge.authentication).modes,
            authentication=knowledge.authentication,
            limiter=limiter,
            denials=knowledge.denials,
        )
    )


def _doors(
    settings: GatewaySettings,
    app: ForwardAuth,
    protocols: Mapping[str, type[asyncio.Protocol]],
    metrics: Metrics,
) -> Sequence[Door]:
    """Return the doors beside the public one."""
    served = RequestMiddleware(app, metrics=metrics, trust_request_id=False)
    return [
        Door(name=name, app=served, port=port, protocol=protocols[name])
        for name, port in settings.doors.items()
        if name == FORWARD_AUTH_DOOR
    ]


@asynccontextmanager
async def _alive(
    knowledge: Knowledge,
    counting: Counting,
    proxy: Proxy,
    background: Background,
    opening: AbstractAsyncContextManager[EventBus | None],
) -> AsyncIterator[None]:
    """Hold open what the requests need, and keep the knowledge fresh beside them."""
    async with AsyncExitStack() as stack:
        if counting.redis:
            stack.push_async_callback(counting.redis.close)
        await stack.enter_async_context(proxy)
        await stack.enter_async_context(knowledge.client)
        await stack.enter_async_context(knowledge.blocks.client)
        await stack.enter_async_context(background)
        background.start("load", knowledge.shedding.watch)
        background.start("jwks", lambda: knowledge.keys.watch(background))
        background.start("revocations", lambda: knowledge.revocations.watch(background))
        await knowledge.blocks.load()
        background.start("ip_blocks", lambda: knowledge.blocks.watch(background))
        background.start("upstreams", lambda: proxy.watch(background))
        failover = counting.failover
        if failover:
            background.start("redis", lambda: failover.watch(background))
        bus = await stack.enter_async_context(opening)
        if bus:
            await _connect(stack, bus, knowledge)
            background.start("denials", lambda: knowledge.denials.watch(background))
        yield


async def _connect(stack: AsyncExitStack, bus: EventBus, knowledge: Knowledge) -> None:
    """Hear what others tell, and tell others what was refused."""
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


@asynccontextmanager
async def _bus(given: EventBus | None, settings: GatewaySettings) -> AsyncIterator[EventBus | None]:
    """Give the bus that was *given*, which is its maker's to close, or one of our own, if any."""
    if given or settings.rabbitmq_url is None:
        yield given
        return
    from chassis.rabbitmq import RabbitMQBus  # noqa: PLC0415 - three MiB, for who has a broker

    own = RabbitMQBus(settings.rabbitmq_url.get_secret_value(), name="gateway")
    try:
        yield own
    finally:
        await own.close()


def _site(settings: GatewaySettings, metrics: Metrics) -> Site:
    try:
        return site_of(settings, metrics)
    except RoutesInvalid as error:
        raise refused(error.lines) from None
