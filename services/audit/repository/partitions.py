"""Have the owner's functions make partitions, and look into DEFAULT."""

import sqlalchemy as sa

from chassis.database import Transaction


async def ensure(tx: Transaction, *, unit: str, ahead: int) -> int:
    """Make the partitions that are missing up to *ahead* units from now; return how many."""
    made: int = await tx.scalar(sa.select(sa.func.ensure_partitions(unit, ahead)))
    return made


async def count_default(tx: Transaction) -> int:
    """Count the rows that found no partition of their own."""
    count: int = await tx.scalar(sa.select(sa.func.count_default_rows()))
    return count
