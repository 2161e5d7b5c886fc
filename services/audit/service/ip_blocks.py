"""Block addresses: by an administrator, by a detection, and until their time is over (D26)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from chassis.background import Background
from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.errors import Unauthenticated
from chassis.ids import uuid7
from chassis.logs import get_logger
from chassis.networks import Address, Network
from chassis.outbox import Outbox
from contracts.audit import IpBlocked, IpUnblocked
from services.audit.domain.ip_blocks import (
    MAX_BLOCKS,
    Cause,
    IpBlock,
    Wanted,
    automatic_network,
    covers,
    may_block_automatically,
)
from services.audit.errors import (
    AdminRoleRequired,
    IpBlockExists,
    IpBlockNotFound,
    OwnAddress,
    TooManyIpBlocks,
)
from services.audit.repository import ip_blocks

_EVERY = timedelta(seconds=1)
_BATCH = 500
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BlockPage:
    """Blocks, newest first; `next_cursor` is None on the last page."""

    blocks: Sequence[IpBlock]
    next_cursor: UUID | None


@dataclass(frozen=True, slots=True)
class BlockList:
    """All blocks as of `revision`; None when that is the one the gateway has."""

    revision: str
    blocks: Sequence[IpBlock] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IpBlocks:
    """Keeps the list of blocks; *protected* networks are never blocked automatically."""

    database: Database
    outbox: Outbox
    clock: Clock
    protected: Sequence[Network] = field(default=())
    most: int = MAX_BLOCKS

    async def list_blocks(
        self, caller: Caller, *, after: UUID | None, address: Address | None, limit: int
    ) -> BlockPage:
        """Return one page. Raises Unauthenticated, AdminRoleRequired."""
        _require_admin(caller)
        async with self.database.transaction() as tx:
            found = await ip_blocks.list_blocks(
                tx, now=self.clock.now(), limit=limit + 1, after=after, address=address
            )
        shown = found[:limit]
        return BlockPage(shown, shown[-1].id if len(found) > limit else None)

    async def block(self, caller: Caller, wanted: Wanted) -> IpBlock:
        """Block a network for an administrator.

        Raises Unauthenticated, AdminRoleRequired, OwnAddress, IpBlockExists, TooManyIpBlocks.
        """
        _require_admin(caller)
        if covers(wanted.network, caller.client_address) and not wanted.force:
            raise OwnAddress
        block = self._new(
            wanted.network, cause="admin", reason=wanted.reason, until=wanted.expires_at
        )
        async with self.database.transaction() as tx:
            if not await self._add(tx, block, caller):
                raise IpBlockExists
        return block

    async def lift(self, caller: Caller, block_id: UUID) -> None:
        """End a block. Raises Unauthenticated, AdminRoleRequired, IpBlockNotFound."""
        _require_admin(caller)
        async with self.database.transaction() as tx:
            block = await ip_blocks.remove_block(tx, block_id, now=self.clock.now())
            if block is None:
                raise IpBlockNotFound
            await self._tell_unblocked(tx, block, caller)

    async def block_automatically(
        self, tx: Transaction, address: Address, *, reason: str, duration: timedelta
    ) -> IpBlock | None:
        """Block *address* within the detection's transaction, or let its block last longer.

        Returns None when nothing changed: the address is protected (D26), is blocked as long
        anyway, or the list is full. An IPv6 address stands for its /64.
        """
        network, until = automatic_network(address), self.clock.now() + duration
        if not may_block_automatically(network, self.protected):
            return None
        longer = await ip_blocks.extend_block(tx, network, until=until)
        if longer is not None:
            await self._tell_blocked(tx, longer, None)
            return longer
        block = self._new(network, cause="detection", reason=reason, until=until)
        try:
            return block if await self._add(tx, block, None) else None
        except TooManyIpBlocks:
            log.warning("ip_block.not_added", reason="too_many_ip_blocks")
            return None

    async def read(self, known: str | None) -> BlockList:
        """Return all blocks, or that nothing changed since the revision *known*."""
        async with self.database.transaction() as tx:
            if known is not None and await ip_blocks.find_revision(tx) == known:
                return BlockList(known, None)
            return BlockList(*await ip_blocks.list_all(tx))

    async def expire(self) -> int:
        """End blocks whose time is over; return how many. Raises DatabaseUnavailable."""
        async with self.database.transaction() as tx:
            over = await ip_blocks.remove_expired(tx, now=self.clock.now(), limit=_BATCH)
            for block in over:
                await self._tell_unblocked(tx, block, None)
        return len(over)

    async def run(self, background: Background) -> None:
        """End blocks in time until *background* stops."""
        away = False
        while not background.stopping.is_set():
            try:
                while await self.expire() >= _BATCH:
                    pass
                away = False
            except DatabaseUnavailable:
                if not away:
                    log.warning("ip_blocks.not_expired", reason="database_unavailable")
                away = True
            await background.pause(_EVERY)

    def _new(
        self, network: Network, *, cause: Cause, reason: str, until: datetime | None
    ) -> IpBlock:
        return IpBlock(
            id=uuid7(self.clock),
            network=network,
            cause=cause,
            reason=reason,
            created_at=self.clock.now(),
            expires_at=until,
        )

    async def _add(self, tx: Transaction, block: IpBlock, caller: Caller | None) -> bool:
        """Add *block* and tell it; False when its network is blocked already."""
        ended = await ip_blocks.remove_expired(
            tx, now=self.clock.now(), limit=1, network=block.network
        )
        for old in ended:
            await self._tell_unblocked(tx, old, None)
        # Two at once may pass it by one: it guards the gateways' memory, nothing else.
        if await ip_blocks.count_blocks(tx) >= self.most:
            raise TooManyIpBlocks
        if not await ip_blocks.add_block(tx, block):
            return False
        await self._tell_blocked(tx, block, caller)
        return True

    async def _tell_blocked(self, tx: Transaction, block: IpBlock, caller: Caller | None) -> None:
        fact = IpBlocked(
            block_id=block.id,
            cidr=str(block.network),
            cause=block.cause,
            reason=block.reason,
            expires_at=block.expires_at,
        )
        await self.outbox.emit(tx, fact, subject=str(block.id), caller=caller)

    async def _tell_unblocked(self, tx: Transaction, block: IpBlock, caller: Caller | None) -> None:
        fact = IpUnblocked(block_id=block.id, cidr=str(block.network))
        await self.outbox.emit(tx, fact, subject=str(block.id), caller=caller)


def _require_admin(caller: Caller) -> None:
    if caller.principal is None:
        raise Unauthenticated
    if "admin" not in caller.principal.roles:
        raise AdminRoleRequired
