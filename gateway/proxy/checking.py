"""Asking an address of an upstream whether it is well."""

import asyncio

from chassis.http1.connections import Connections
from chassis.http1.head import head_of
from chassis.http1.names import Origin
from chassis.http1.trouble import Trouble
from gateway.proxy.body import Patience
from gateway.proxy.call import Call
from gateway.routing.table import HealthCheck


async def is_well(connections: Connections, origin: Origin, check: HealthCheck) -> bool:
    """Say whether *origin* answers with any 2xx within the time, on a connection of its own."""
    headers = ((b"host", origin.authority.encode()), (b"connection", b"close"))
    head = head_of("GET", check.path, headers)
    try:
        async with asyncio.timeout(check.timeout):
            connection = await connections.open(origin, within=check.timeout)
            call = Call(connection, Patience(check.timeout), origin)
            try:
                await call.ask(head, None, chunked=False, bodyless=False)
            finally:
                connection.close()
    except (Trouble, TimeoutError):
        return False
    return call.status < 300  # noqa: PLR2004 - 2xx
