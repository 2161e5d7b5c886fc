"""The rules: back-off, addresses, names, links, and when a mail may be sent again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.messages import (
    Message,
    Reason,
    Resend,
    RetryPolicy,
    State,
    Template,
    Verdict,
    decide_resend,
    verdict_before_sending,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = UUID("019b796d-d600-7df0-bc9d-ce7d0bac5517")


def message(**changes: Any) -> Message:
    """Return a waiting verification mail, changed."""
    values: dict[str, Any] = {
        "id": ID,
        "source_id": ID,
        "source_type": "notify.send_verification_mail.v1",
        "template": Template.VERIFICATION,
        "user_id": ID,
        "recipient": "ada@example.org",
        "recipient_name": "ada",
        "facts": {},
        "sealed_token": "box",
        "expires_at": NOW + timedelta(hours=1),
        "state": State.WAITING,
        "reason": None,
        "attempts": 1,
        "next_attempt_at": NOW,
        "created_at": NOW,
        "settled_at": None,
        "traceparent": None,
        "actor": None,
    }
    return Message(**(values | changes))


class TestRetryPolicy:
    """When a mail is tried again."""

    @pytest.mark.parametrize(
        ("attempts", "seconds"),
        [
            (1, 5),
            (2, 10),
            (3, 20),
            (4, 40),
            (5, 80),
            (6, 160),
            (7, 320),
            (8, 640),
            (9, 1280),
            (10, 1800),
            (49, 1800),
        ],
    )
    def test_doubles_up_to_half_an_hour(self, attempts: int, seconds: int) -> None:
        """The table of the defaults, without jitter."""
        assert RetryPolicy().delay(attempts, chance=0.0) == timedelta(seconds=seconds)

    @given(st.integers(-5, 10_000), st.floats(0, 1, exclude_max=True))
    def test_jitter_only_shortens(self, attempts: int, chance: float) -> None:
        """A fifth at most, whatever the number of attempts."""
        policy = RetryPolicy()
        longest = policy.delay(attempts, chance=0.0)
        assert longest * 0.8 <= policy.delay(attempts, chance=chance) <= longest
        assert longest <= policy.cap

    def test_reaches_through_a_long_outage(self) -> None:
        """About 21 hours lie between the first and the last attempt."""
        policy = RetryPolicy()
        waits = [policy.delay(n, chance=0.0) for n in range(1, policy.max_attempts)]
        assert timedelta(hours=20) < sum(waits, timedelta()) < timedelta(hours=22)

    def test_the_last_attempt_is_the_last(self) -> None:
        """One before, the mail stays waiting."""
        policy = RetryPolicy(max_attempts=3)
        assert policy.after_failure(2, "timeout", chance=0.0) == Verdict(
            State.WAITING, "timeout", timedelta(seconds=10)
        )
        assert policy.after_failure(3, "timeout", chance=0.0) == Verdict(
            State.FAILED, Reason.ATTEMPTS_EXHAUSTED
        )


class TestVerdictBeforeSending:
    """Whether a claimed mail may go out."""

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, None),
            ({"recipient": None}, Verdict(State.SUPPRESSED, Reason.RECIPIENT_ERASED)),
            ({"expires_at": NOW}, Verdict(State.SUPPRESSED, Reason.EXPIRED)),
            ({"sealed_token": None}, Verdict(State.FAILED, Reason.SECRET_UNREADABLE)),
            ({"attempts": 50}, None),
            ({"attempts": 51}, Verdict(State.FAILED, Reason.ATTEMPTS_EXHAUSTED)),
            ({"template": Template.WELCOME, "sealed_token": None, "expires_at": None}, None),
        ],
    )
    def test_says_why_not(self, changes: dict[str, Any], expected: Verdict | None) -> None:
        """Each reason, and none."""
        verdict = verdict_before_sending(message(**changes), now=NOW, policy=RetryPolicy())
        assert verdict == expected


class TestDecideResend:
    """What an administrator's wish to send again comes to."""

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, Resend.HASTEN),
            ({"expires_at": NOW}, Resend.REFUSE),
            ({"recipient": None}, Resend.REFUSE),
            ({"state": State.SENT}, Resend.REFUSE),
            ({"state": State.FAILED}, Resend.REFUSE),
            ({"state": State.SUPPRESSED}, Resend.REFUSE),
            ({"state": State.SENT, "template": Template.WELCOME}, Resend.COPY),
            ({"state": State.FAILED, "template": Template.WELCOME}, Resend.COPY),
            ({"state": State.FAILED, "template": Template.WELCOME, "recipient": None}, "refuse"),
            ({"template": Template.WELCOME, "expires_at": None}, Resend.HASTEN),
        ],
    )
    def test_follows_the_rule(self, changes: dict[str, Any], expected: Resend) -> None:
        """Waiting is hastened, settled copied, a secret never sent again."""
        assert decide_resend(message(**changes), now=NOW) == expected
