"""What is left of a deleted user: nothing."""

from uuid import uuid4

import sqlalchemy as sa

from chassis.inbox import Letter
from chassis.inbox_rows import Inbox
from contracts.identity import PasswordReset, UserDeleted, UserEmailChanged, UserEmailVerified
from contracts.notify import MessageSuppressed
from services.notify.models import inbox, recipients
from services.notify.tests.kit import House, command, fact, rows_of


class TestErasure:
    """On user.deleted nothing of the person stays."""

    async def test_leaves_no_personal_data(self, house: House) -> None:
        """Sent mails lose the address, waiting ones are suppressed, and it is told."""
        await house.register(email="canary@example.org", username="canaryname")
        await house.receive(fact(PasswordReset(user_id=house.user_id)))
        await house.deliver_all()
        await house.receive(
            command(
                house.user_id,
                email="canary@example.org",
                username="canaryname",
                clock=house.clock,
            )
        )

        await house.receive(fact(UserDeleted(user_id=house.user_id)))
        verdicts = await house.deliver_all()

        sent, waiting = await house.rows()
        told = (await house.events())[-1]
        known = await rows_of(house.database, sa.select(recipients))
        assert verdicts == []
        assert (sent.state, waiting.state) == ("sent", "suppressed")
        assert (waiting.reason, waiting.sealed_token) == ("recipient_erased", None)
        assert (told.type, told.data["message_id"]) == (MessageSuppressed.type, str(waiting.id))
        assert "canary" not in await house.everything_stored() + repr([tuple(r) for r in known])

    async def test_leaves_no_dead_letter(self, house: House) -> None:
        """A command that could not be understood, and holds the address, goes with the person."""
        async with house.database.transaction() as tx:
            letter = Letter.unreadable(f"canary@example.org of {house.user_id}".encode())
            await Inbox("notify.commands", inbox).bury(tx, letter, "unreadable")

        await house.receive(fact(UserDeleted(user_id=house.user_id)))

        assert await rows_of(house.database, sa.select(inbox.inbox)) == []

    async def test_late_facts_bring_nobody_back(self, house: House) -> None:
        """Whatever was on its way: no address is stored, no mail is sent."""
        await house.receive(fact(UserDeleted(user_id=house.user_id)))

        await house.register(email="canary@example.org")
        await house.receive(fact(PasswordReset(user_id=house.user_id)))
        await house.receive(
            fact(UserEmailVerified(user_id=house.user_id, email="canary@example.org"))
        )
        changed = UserEmailChanged(
            user_id=house.user_id, email="canary@new.example", previous_email="canary@example.org"
        )
        await house.receive(fact(changed, version=9))
        await house.receive(command(house.user_id, email="canary@example.org", clock=house.clock))
        await house.deliver_all()

        [row] = await house.rows()
        known = await rows_of(house.database, sa.select(recipients))
        assert house.transport.mails == []
        assert (row.state, row.reason) == ("suppressed", "recipient_erased")
        assert "canary" not in await house.everything_stored() + repr([tuple(r) for r in known])

    async def test_others_keep_their_mails(self, house: House) -> None:
        """One person's erasure is nobody else's."""
        await house.receive(command(uuid4(), email="other@example.org", clock=house.clock))

        await house.receive(fact(UserDeleted(user_id=house.user_id)))
        await house.deliver_all()

        assert [mail.recipient for mail in house.transport.mails] == ["other@example.org"]
