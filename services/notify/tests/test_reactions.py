"""Which message leads to which mail, to whom; and what is left of a deleted user."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from chassis.subscriptions import Unprocessable
from contracts.audit import SuspiciousActivityDetected
from contracts.envelope import EventData
from contracts.identity import (
    DeviceAdded,
    PasswordChanged,
    PasswordReset,
    UserDeleted,
    UserEmailChanged,
    UserEmailVerified,
    UserLocked,
    UserRegistered,
    UserUpdated,
)
from contracts.registry import COMMAND_TYPES, EVENT_TYPES
from contracts.token import RefreshTokenReused
from services.notify.consumers import REACTIONS, queues
from services.notify.domain.messages import Cause
from services.notify.errors import RecipientUnknown
from services.notify.models import recipients
from services.notify.service.intake import SECURITY_MAILS_PER_HOUR, Intake
from services.notify.tests.kit import SECURITY_EMAIL, House, command, fact, rows_of

UNTIL = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


class TestNotices:
    """A fact about an account becomes a mail to its owner."""

    @pytest.mark.parametrize(
        ("model", "values", "template", "phrase"),
        [
            (UserEmailVerified, {"email": "ada@example.org"}, "welcome", "is ready"),
            (PasswordReset, {}, "password_was_reset", "just set anew"),
            (PasswordChanged, {"session_id": None}, "password_changed", "just changed"),
            (
                UserLocked,
                {"cause": "failures", "locked_until": UNTIL},
                "account_locked",
                "until 01 January 2026, 12:30 UTC.",
            ),
            (DeviceAdded, {}, "new_device", "a device we had not seen"),
            (RefreshTokenReused, {"session_id": uuid4()}, "session_reused", "second time"),
            (
                SuspiciousActivityDetected,
                {"alert_id": uuid4(), "rule": "success_after_failures", "address": "203.0.113.9"},
                "suspicious_activity",
                "(rule: success_after_failures, from 203.0.113.9)",
            ),
        ],
    )
    async def test_reach_the_owner(
        self,
        house: House,
        model: type[EventData],
        values: dict[str, object],
        template: str,
        phrase: str,
    ) -> None:
        """Once, also when the fact comes twice."""
        await house.register()
        event = fact(model(user_id=house.user_id, **values))

        await house.receive(event)
        await house.receive(event)
        await house.deliver_all()

        [mail] = house.transport.mails
        [row] = await house.rows()
        assert (mail.recipient, row.template, row.state) == ("ada@example.org", template, "sent")
        assert phrase in mail.text
        assert mail.text.startswith("Hello ada,")

    async def test_a_new_device_is_told_with_time_and_address(self, house: House) -> None:
        """What it calls itself is its own text and stays out."""
        await house.register()
        seen = replace(
            fact(DeviceAdded(user_id=house.user_id)),
            time=UNTIL,
            ip="203.0.113.9",
            useragent="call us to unlock",
        )

        await house.receive(seen)
        await house.deliver_all()

        [mail] = house.transport.mails
        assert "on 01 January 2026, 12:30 UTC from the address 203.0.113.9," in mail.text
        assert "call us" not in mail.text + mail.html + await house.everything_stored()

    async def test_an_administrators_lock_is_not_ours_to_tell(self, house: House) -> None:
        """Only failures lead to a mail."""
        await house.register()

        await house.receive(
            fact(UserLocked(user_id=house.user_id, cause="admin", locked_until=None))
        )

        assert await house.rows() == []

    async def test_an_account_is_welcomed_once(self, house: House) -> None:
        """A second address, confirmed later, is no second beginning."""
        await house.register()
        for email in ("ada@example.org", "ada@new.example"):
            await house.receive(fact(UserEmailVerified(user_id=house.user_id, email=email)))

        await house.deliver_all()

        assert [mail.recipient for mail in house.transport.mails] == ["ada@example.org"]

    async def test_a_fact_before_its_registration_is_tried_again(self, house: House) -> None:
        """The inbox keeps it; nothing is half done."""
        event = fact(PasswordReset(user_id=house.user_id))
        with pytest.raises(RecipientUnknown):
            await house.receive(event)

        await house.register()
        await house.receive(event)

        assert len(await house.rows()) == 1

    async def test_an_alert_without_an_account_goes_to_the_security_box(self, house: House) -> None:
        """Somebody has to know."""
        alert = SuspiciousActivityDetected(
            alert_id=uuid4(),
            rule="password_spraying",
            user_id=None,
            address="203.0.113.9",
            attempts=31,
            accounts=16,
            addresses=1,
        )
        await house.receive(fact(alert))

        await house.deliver_all()

        [mail] = house.transport.mails
        assert mail.recipient == SECURITY_EMAIL
        assert str(alert.alert_id) in mail.text
        assert "one address tried many accounts" in mail.text
        assert "attempts 31, accounts 16, addresses 1." in mail.text

    async def test_an_alert_of_a_pattern_not_known_yet_is_mailed_too(self, house: House) -> None:
        """A newer audit may tell what this version has no words for."""
        alert = SuspiciousActivityDetected(
            alert_id=uuid4(), rule="mind_reading", user_id=None, address=None
        )
        await house.receive(fact(alert))

        await house.deliver_all()

        [mail] = house.transport.mails
        assert "a pattern of attack (rule: mind_reading)." in mail.text

    async def test_without_a_security_box_the_log_says_so_once(self, house: House) -> None:
        """An operator who reads it knows what to set."""
        intake = Intake(outbox=house.outbox, clock=house.clock, due=house.due, security_email=None)
        cause = Cause(id=uuid4(), type=SuspiciousActivityDetected.type)
        with capture_logs() as logs:
            async with house.database.transaction() as tx:
                for _ in range(3):
                    await intake.order_alert(tx, cause, {})

        assert [entry["reason"] for entry in logs] == ["security_email_not_set"]
        assert await house.rows() == []

    async def test_a_flood_of_alerts_does_not_bury_the_security_box(self, house: House) -> None:
        """Who attacks in many ways at once causes so many mails an hour, and no more."""
        for _ in range(2):
            with capture_logs() as logs:
                for _ in range(SECURITY_MAILS_PER_HOUR + 2):
                    await house.receive(fact(_alert()))
            assert [entry["reason"] for entry in logs] == ["too_many_within_an_hour"] * 2
            house.clock.advance(timedelta(hours=1, seconds=1))

        assert len(await house.rows()) == 2 * SECURITY_MAILS_PER_HOUR

    async def test_a_guessed_account_is_calmed(self, house: House) -> None:
        """Nobody has to change a password because strangers guess."""
        await house.register()
        await house.receive(
            fact(
                SuspiciousActivityDetected(
                    alert_id=uuid4(), rule="account_guessing", user_id=house.user_id, address=None
                )
            )
        )

        await house.deliver_all()

        [mail] = house.transport.mails
        assert "nothing you need to do" in mail.text
        assert "change your password" not in mail.text + mail.html

    async def test_a_reused_refresh_token_is_told_once(self, house: House) -> None:
        """By token's own event; the alert about it adds no second mail."""
        await house.register()
        reused = RefreshTokenReused(user_id=house.user_id, session_id=uuid4())
        alert = SuspiciousActivityDetected(
            alert_id=uuid4(), rule="refresh_token_reuse", user_id=house.user_id, address=None
        )
        for event in (fact(reused), fact(alert)):
            await house.receive(event)

        await house.deliver_all()

        assert [mail.subject for mail in house.transport.mails] == ["We ended one of your sessions"]

    async def test_continues_the_trace(self, house: House) -> None:
        """The event about the mail belongs to the request that caused it."""
        await house.register()
        await house.receive(fact(PasswordReset(user_id=house.user_id)))

        await house.deliver_all()

        [event] = await house.events()
        assert event.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class TestRecipients:
    """Where mails go, as of the newest fact."""

    async def test_a_change_of_address_tells_the_old_one(self, house: House) -> None:
        """And from then on writes to the new one."""
        await house.register()
        changed = UserEmailChanged(
            user_id=house.user_id, email="new@example.org", previous_email="ada@example.org"
        )
        await house.receive(fact(changed, version=2))
        await house.receive(fact(PasswordChanged(user_id=house.user_id, session_id=None)))

        await house.deliver_all()

        assert [(mail.recipient, mail.subject) for mail in house.transport.mails] == [
            ("ada@example.org", "The e-mail address of your account was changed"),
            ("new@example.org", "Your password was changed"),
        ]

    async def test_a_late_fact_changes_nothing(self, house: House) -> None:
        """Versions only move upwards."""
        registered = UserRegistered(
            user_id=house.user_id, email="new@example.org", username="ada", roles=()
        )
        await house.receive(fact(registered, version=3))

        await house.register(email="old@example.org")

        [row] = await rows_of(house.database, sa.select(recipients))
        assert (row.email, row.version) == ("new@example.org", 3)

    async def test_a_command_may_come_before_the_registration(self, house: House) -> None:
        """Two queues, no order between them."""
        await house.receive(command(house.user_id, clock=house.clock))
        await house.register()

        [row] = await rows_of(house.database, sa.select(recipients))
        assert (row.email, row.username, row.version) == ("ada@example.org", "ada", 1)

    async def test_an_old_name_is_forgotten(self, house: House) -> None:
        """Until a command brings the new one."""
        await house.register()
        await house.receive(
            fact(UserUpdated(user_id=house.user_id, fields=("username",)), version=2)
        )
        await house.receive(fact(PasswordReset(user_id=house.user_id)))
        await house.receive(command(house.user_id, username="countess", clock=house.clock))
        await house.receive(fact(PasswordReset(user_id=house.user_id)))

        await house.deliver_all()

        greetings = [mail.text.partition("\n")[0] for mail in house.transport.mails]
        assert greetings == ["Hello,", "Hello countess,", "Hello countess,"]


class TestTable:
    """What notify listens to."""

    def test_every_type_is_published_by_somebody(self) -> None:
        """Commands on their exchange, facts on theirs."""
        types = {type_.type for table in REACTIONS.values() for type_ in table}
        assert types <= EVENT_TYPES.keys() | COMMAND_TYPES.keys()
        assert COMMAND_TYPES.keys() <= types
        assert {spec.name for spec in queues()} == set(REACTIONS)

    async def test_unreadable_data_is_nobodys_retry(self, house: House) -> None:
        """It goes to the dead letters at once."""
        broken = fact(UserDeleted(user_id=house.user_id))
        broken.data["user_id"] = "nobody"

        with pytest.raises(Unprocessable):
            await house.receive(broken)

    async def test_an_expired_command_is_written_down(self, house: House) -> None:
        """So that administrators see why nothing came."""
        await house.receive(
            command(house.user_id, expires_in=-timedelta(hours=1), clock=house.clock)
        )

        await house.deliver_all()

        [row] = await house.rows()
        assert (row.state, row.reason) == ("suppressed", "expired")


def _alert() -> SuspiciousActivityDetected:
    return SuspiciousActivityDetected(
        alert_id=uuid4(), rule="password_spraying", user_id=None, address="203.0.113.9"
    )
