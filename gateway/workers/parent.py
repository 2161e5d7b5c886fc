"""How the gateway is served: by this process alone, or by workers it looks after."""

import asyncio
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from prometheus_client import CollectorRegistry

from chassis.app import Deployable
from chassis.backoff import Backoff
from chassis.hangup import Hangups
from chassis.server import Listener, bind, run
from gateway.settings import GatewaySettings
from gateway.workers.crew import Crew
from gateway.workers.ops import ops_of
from gateway.workers.worker import Worker

_MARGIN_SECONDS = 10.0
_LONGEST_PAUSE = timedelta(seconds=30)


def serve(settings: GatewaySettings, build: Callable[[GatewaySettings], Deployable]) -> None:
    """Serve until SIGTERM or SIGINT; one worker needs no parent, and is what *build* gives.

    Exits 78 when the first worker finds the configuration wanting.
    """
    if settings.gateway_workers == 1:
        run(lambda: build(settings))
        return
    code = asyncio.run(_supervise(settings))
    if code:
        raise SystemExit(code)


async def _supervise(settings: GatewaySettings) -> int:
    doors = {name: bind(settings.host, port) for name, port in settings.doors.items()}
    registry = CollectorRegistry()
    crew = Crew(
        settings.gateway_workers,
        partial(Worker.start, doors),
        grace=settings.drain_delay_seconds + settings.drain_timeout_seconds + _MARGIN_SECONDS,
        registry=registry,
        backoff=Backoff(cap=_LONGEST_PAUSE),
    )
    ops = Listener(
        ops_of(crew, registry),
        bind(settings.ops_host, settings.ops_port),
        drain_timeout=1,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Hangups([crew], stop):
        await ops.start()
        closing = asyncio.create_task(_close(doors, stop))
        code = await crew.run(stop)
        await closing
        await ops.stop()
    return code


async def _close(doors: dict[str, socket.socket], stop: asyncio.Event) -> None:
    """Let go of the ports when the end begins: then they close with the last worker's copy."""
    await stop.wait()
    for door in doors.values():
        door.close()
