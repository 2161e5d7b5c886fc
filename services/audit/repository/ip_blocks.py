"""The IP blocks there are; those that ended are deleted."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from chassis.networks import Address, Network
from services.audit.domain.ip_blocks import IpBlock
from services.audit.models import IP_BLOCKS

_c = IP_BLOCKS.c


async def add_block(tx: Transaction, block: IpBlock) -> bool:
    """Store *block*; False when its network has one already."""
    values = {
        "id": block.id,
        "cidr": str(block.network),
        "cause": block.cause,
        "reason": block.reason,
        "created_at": block.created_at,
        "expires_at": block.expires_at,
    }
    statement = insert(IP_BLOCKS).values(values).on_conflict_do_nothing(index_elements=["cidr"])
    return (await tx.scalar(statement.returning(_c.id))) is not None


async def extend_block(tx: Transaction, network: Network, *, until: datetime) -> IpBlock | None:
    """Let the block of exactly *network* last until *until*; None when it lasts so long anyway."""
    statement = (
        sa.update(IP_BLOCKS)
        .where(_c.cidr == str(network), _c.expires_at < until)
        .values(expires_at=until, changed=sa.text("DEFAULT"))
    )
    row = (await tx.execute(statement.returning(IP_BLOCKS))).one_or_none()
    return _block(row) if row else None


async def remove_block(tx: Transaction, block_id: UUID, *, now: datetime) -> IpBlock | None:
    """Delete the block with this id; None when there is none that lasts."""
    statement = sa.delete(IP_BLOCKS).where(_c.id == block_id, _lasting(now))
    row = (await tx.execute(statement.returning(IP_BLOCKS))).one_or_none()
    return _block(row) if row else None


async def remove_expired(
    tx: Transaction, *, now: datetime, limit: int, network: Network | None = None
) -> Sequence[IpBlock]:
    """Delete blocks that ran out, at most *limit*, of one network when one is given.

    Rows that another replica is deleting are passed over, but for the one of *network*.
    """
    due = sa.select(_c.id).where(_c.expires_at <= now).order_by(_c.expires_at).limit(limit)
    if network is not None:
        due = due.where(_c.cidr == str(network))
    due = due.with_for_update(skip_locked=network is None)
    statement = sa.delete(IP_BLOCKS).where(_c.id.in_(due)).returning(IP_BLOCKS)
    return [_block(row) for row in await tx.execute(statement)]


async def list_blocks(
    tx: Transaction,
    *,
    now: datetime,
    limit: int,
    after: UUID | None = None,
    address: Address | None = None,
) -> Sequence[IpBlock]:
    """Return blocks that last, the newest first; of one *address* those that cover it."""
    statement = sa.select(IP_BLOCKS).where(_lasting(now)).order_by(_c.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(_c.id < after)
    if address is not None:
        statement = statement.where(_c.cidr.op(">>=")(sa.cast(str(address), IP_BLOCKS.c.cidr.type)))
    return [_block(row) for row in await tx.execute(statement)]


async def list_blocked(
    tx: Transaction, networks: Sequence[Network], *, now: datetime
) -> set[Network]:
    """Return which of exactly these *networks* have a block that lasts."""
    wanted = [str(network) for network in networks]
    statement = sa.select(_c.cidr).where(_c.cidr.in_(wanted), _lasting(now))
    return {ip_network(str(cidr)) for cidr in (await tx.execute(statement)).scalars()}


async def count_blocks(tx: Transaction) -> int:
    """Return how many rows there are."""
    count: int = await tx.scalar(sa.select(sa.func.count()).select_from(IP_BLOCKS))
    return count


async def find_revision(tx: Transaction) -> str:
    """Return a text that is another one whenever any block was added, changed or removed.

    `changed` only grows, so the number of rows, their newest and their sum name one state.
    """
    newest, total = sa.func.max(_c.changed), sa.func.sum(_c.changed)
    row: Any = (await tx.execute(sa.select(sa.func.count(), newest, total))).one()
    return _revision(*row)


async def list_all(tx: Transaction) -> tuple[str, Sequence[IpBlock]]:
    """Return the revision and every block, ended or not."""
    rows = list(await tx.execute(sa.select(IP_BLOCKS)))
    changed = [row.changed for row in rows]
    revision = _revision(len(rows), max(changed, default=0), sum(changed))
    return revision, [_block(row) for row in rows]


def _revision(count: int, newest: int | None, total: int | None) -> str:
    return f"{count}.{newest or 0}.{int(total or 0)}"


def _lasting(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(_c.expires_at.is_(None), _c.expires_at > now)


def _block(row: Any) -> IpBlock:
    return IpBlock(
        id=row.id,
        network=ip_network(str(row.cidr)),
        cause=row.cause,
        reason=row.reason,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
