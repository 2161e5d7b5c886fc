"""The ledger on a real PostgreSQL: never doubled, claimed once, wiped, erased, and migrated."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from chassis.clock import SystemClock
from chassis.database import Database
from chassis.ids import uuid7
from chassis.migrations import check_no_drift
from chassis.testing.databases import FreshDatabase
from services.notify.domain.messages import SENT, Cause, Order, State, Template, Verdict
from services.notify.models import messages, metadata
from services.notify.repository import inbox_messages, ledger
from services.notify.repository.ledger import LedgerFilter
from services.notify.tests.kit import rows_of

LEASE = timedelta(seconds=30)


def order(**changes: object) -> Order:
    """Return an order with a cause of its own."""
    cause = Cause(id=uuid4(), type="test.v1")
    values = {"cause": cause, "template": Template.WELCOME, "recipient": "ada@example.org"}
    return Order(**(values | changes))  # type: ignore[arg-type] # the tests know the fields


async def add(database: Database, wanted: Order) -> bool:
    """Add *wanted*; say whether it was new."""
    async with database.transaction() as tx:
        return await ledger.add(tx, uuid7(SystemClock()), wanted) is not None


class TestAdd:
    """One mail per cause and template."""

    async def test_fifty_at_once_make_one(self, database: Database) -> None:
        """The constraint decides, not a look before."""
        wanted = order()

        added = await asyncio.gather(*(add(database, wanted) for _ in range(50)))

        assert sum(added) == 1
        assert len(await rows_of(database, sa.select(messages))) == 1

    async def test_another_template_is_another_mail(self, database: Database) -> None:
        """One fact may cause two mails."""
        first = order()

        assert await add(database, first)
        assert await add(database, order(cause=first.cause, template=Template.EMAIL_CHANGED))


class TestClaim:
    """A mail is in one hand at a time."""

    async def test_workers_share_the_work(self, database: Database) -> None:
        """Ten claim at once: ten mails, each once."""
        for _ in range(10):
            await add(database, order())

        async def claim() -> object:
            async with database.transaction() as tx:
                message = await ledger.claim_due(tx, uuid4(), lease=LEASE)
            return message and message.id

        claimed = await asyncio.gather(*(claim() for _ in range(10)))

        assert None not in claimed
        assert len(set(claimed)) == 10
        assert await claim() is None

    async def test_an_expired_lease_is_free(self, database: Database) -> None:
        """Who died with a mail in hand keeps nobody from it; the attempt is counted."""
        await add(database, order())
        async with database.transaction() as tx:
            await ledger.claim_due(tx, uuid4(), lease=timedelta(0))

        async with database.transaction() as tx:
            message = await ledger.claim_due(tx, uuid4(), lease=LEASE)

        assert message is not None
        assert message.attempts == 2

    async def test_what_is_not_due_waits(self, database: Database) -> None:
        """Due times are the database's."""
        await add(database, order())
        owner = uuid4()
        async with database.transaction() as tx:
            message = await ledger.claim_due(tx, owner, lease=LEASE)
            assert message is not None
            later = Verdict(State.WAITING, "timeout", timedelta(hours=1))
            assert await ledger.mark(tx, message, owner, later)

        async with database.transaction() as tx:
            assert await ledger.claim_due(tx, uuid4(), lease=LEASE) is None
            await ledger.hasten(tx, message.id)

        async with database.transaction() as tx:
            assert await ledger.claim_due(tx, uuid4(), lease=LEASE) is not None


class TestMark:
    """What an attempt came to."""

    @pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.SUPPRESSED])
    async def test_wipes_the_secret(self, database: Database, state: State) -> None:
        """Every final state does."""
        await add(database, order(template=Template.VERIFICATION, sealed_token="box"))
        owner = uuid4()

        async with database.transaction() as tx:
            message = await ledger.claim_due(tx, owner, lease=LEASE)
            assert message is not None
            assert message.sealed_token == "box"
            await ledger.mark(tx, message, owner, Verdict(state, "because"))

        [row] = await rows_of(database, sa.select(messages))
        assert (row.state, row.sealed_token, row.leased_by) == (state, None, None)
        assert row.settled_at is not None

    async def test_only_the_holder_settles(self, database: Database) -> None:
        """A stranger changes nothing."""
        await add(database, order())
        async with database.transaction() as tx:
            message = await ledger.claim_due(tx, uuid4(), lease=LEASE)
            assert message is not None
            assert not await ledger.mark(tx, message, uuid4(), SENT)


class TestPrune:
    """Settled mails are kept for a time."""

    async def test_takes_only_old_settled_ones(self, database: Database) -> None:
        """What waits stays, whatever its age."""
        await add(database, order())
        await add(database, order())
        owner = uuid4()
        async with database.transaction() as tx:
            message = await ledger.claim_due(tx, owner, lease=LEASE)
            assert message is not None
            await ledger.mark(tx, message, owner, SENT)

        async with database.transaction() as tx:
            assert await ledger.prune(tx, retention=timedelta(days=1), limit=10) == 0
        async with database.transaction() as tx:
            assert await ledger.prune(tx, retention=timedelta(0), limit=10) == 1
            assert (await ledger.backlog(tx)).waiting == 1


class TestInboxMessages:
    """The development inbox is bounded."""

    async def test_keeps_the_newest(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The oldest goes when there are too many; the same mail twice is one."""
        monkeypatch.setattr(inbox_messages, "KEPT", 2)
        async with database.transaction() as tx:
            kept = []
            for number in range(3):
                message = await ledger.add(tx, uuid7(SystemClock()), order())
                assert message is not None
                for _ in range(2):
                    await inbox_messages.add(
                        tx, message.id, recipient="a@b", subject=str(number), text="", html=""
                    )
                kept.append(message.id)

            listed = await inbox_messages.list_newest(tx)

        assert [message.id for message in listed] == [kept[2], kept[1]]

    async def test_keeps_nothing_of_the_erased(self, database: Database) -> None:
        """A mail handed over just after the erasure leaves no trace."""
        user_id = uuid4()
        async with database.transaction() as tx:
            message = await ledger.add(tx, uuid7(SystemClock()), order(user_id=user_id))
            assert message is not None
            await ledger.erase_user(tx, user_id)
            await inbox_messages.add(
                tx, message.id, recipient="a@b", subject="s", text="t", html="h"
            )
            assert await inbox_messages.list_newest(tx) == []


class TestList:
    """What administrators look for."""

    async def test_filters(self, database: Database) -> None:
        """By state, template and user."""
        user_id = uuid4()
        await add(database, order(user_id=user_id))
        await add(database, order(template=Template.PASSWORD_CHANGED))

        async def count(wanted: LedgerFilter) -> int:
            async with database.transaction() as tx:
                return len(await ledger.list_messages(tx, wanted, limit=10))

        assert await count(LedgerFilter()) == 2
        assert await count(LedgerFilter(user_id=user_id)) == 1
        assert await count(LedgerFilter(template=Template.PASSWORD_CHANGED)) == 1
        assert await count(LedgerFilter(state=State.SENT)) == 0


class TestMigrations:
    """The tables are what the models say, and the app role is no owner."""

    async def test_there_is_no_drift(self, fresh: FreshDatabase) -> None:
        """An empty database, upgraded, equals models.py."""
        await check_no_drift(fresh.owner_url, metadata)

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE more (id int)",
            "ALTER TABLE messages DROP COLUMN reason",
            "DROP TABLE recipients",
            "TRUNCATE messages",
            "DELETE FROM recipients",
        ],
    )
    async def test_the_app_role_cannot(self, database: Database, statement: str) -> None:
        """No DDL, no emptying; recipients keep the mark of their erasure."""
        with pytest.raises(sa.exc.DBAPIError, match=r"must be owner|permission denied"):
            async with database.transaction() as tx:
                await tx.execute(sa.text(statement))
