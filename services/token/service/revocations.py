"""The deny list as gateways follow it (D12)."""

from dataclasses import replace

from chassis.clock import Clock
from chassis.database import Database
from services.token.domain.revocations import Cursor
from services.token.repository.revocations import Reading, read_from
from services.token.repository.revoked_keys import list_revoked_kids

PAGE = 5000


class Revocations:
    """Hands out the deny list from a cursor on."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, since: Cursor | None) -> Reading:
        """Return the next page of live entries after *since*, from the first one without it.

        Revoked signing keys come with every page.
        """
        async with self._database.transaction() as tx:
            reading = await read_from(tx, since, now=self._clock.now(), limit=PAGE)
            return replace(reading, revoked_keys=await list_revoked_kids(tx))
