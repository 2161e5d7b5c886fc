"""A deployable for tests of what serves one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.app import Deployable, Reload
from chassis.health import Health
from chassis.metrics import Metrics
from chassis.settings import ProcessSettings


def idle_deployable(reload: Reload | None = None) -> Deployable:
    """Return one on free ports that does nothing."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield

    async def http(*_: object) -> None: ...

    return Deployable(
        name="example",
        settings=ProcessSettings(port=0, ops_port=0),
        http=http,
        lifespan=lifespan,
        health=Health(),
        metrics=Metrics(),
        reload=reload,
    )
