"""The rules as plain functions: evidence, thresholds, windows."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from services.audit.domain.detection.evidence import NO_AGENT, Kind, agent_digest, evidence_of
from services.audit.domain.detection.findings import of_source
from services.audit.domain.detection.rules import (
    SEVERITIES,
    AccountTally,
    EntryTally,
    Rule,
    SourceTally,
    Thresholds,
    judge_account,
    judge_entry,
    judge_source,
)
from services.audit.domain.detection.windows import Window, windows_of
from services.audit.tests.samples import event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DEFAULTS = Thresholds()
SOURCE = ip_network("203.0.113.7/32")


def tally(
    barren: int, *, entered: int = 0, failures: int | None = None, addresses: int = 1
) -> SourceTally:
    """Return what a source did at noon."""
    return SourceTally(
        source=SOURCE,
        window=Window(NOON, NOON + HOUR),
        barren=barren,
        entered=entered,
        failures=barren if failures is None else failures,
        addresses=addresses,
        agent="an agent",
        first_at=NOON,
        last_at=NOON + MINUTE,
    )


class TestSources:
    """What one source does."""

    @pytest.mark.parametrize(
        ("counted", "rule"),
        [
            (tally(14), None),
            (tally(15), Rule.PASSWORD_SPRAYING),
            (tally(15, failures=45), Rule.PASSWORD_SPRAYING),
            (tally(15, failures=46), Rule.CREDENTIAL_STUFFING),
            (tally(15, addresses=2), Rule.PASSWORD_SPRAYING),
            (tally(15, addresses=3), Rule.CREDENTIAL_STUFFING),
            (tally(10, failures=39), None),
            (tally(10, failures=40), Rule.CREDENTIAL_STUFFING),
            (tally(9, failures=400), None),
            (tally(15, entered=60), Rule.PASSWORD_SPRAYING),
            (tally(15, entered=61), None),
            (tally(1, failures=1000), None),
        ],
    )
    def test_is_judged_by_accounts_tries_and_share(
        self, counted: SourceTally, rule: Rule | None
    ) -> None:
        """Each threshold from both sides."""
        assert judge_source(counted, DEFAULTS) is rule

    @pytest.mark.parametrize(
        ("counted", "hostile", "suspect"),
        [
            (tally(4), True, False),
            (tally(5), True, True),
            (tally(20, entered=5), True, True),
            (tally(20, entered=6), False, False),
        ],
    )
    def test_is_blocked_only_when_hardly_anybody_gets_in(
        self, counted: SourceTally, *, hostile: bool, suspect: bool
    ) -> None:
        """A shared address has people of its own."""
        assert (counted.is_hostile, counted.is_suspect) == (hostile, suspect)
        assert bool(of_source(counted, Rule.PASSWORD_SPRAYING, []).hostile) is hostile


class TestAccounts:
    """What happens to one account."""

    @pytest.mark.parametrize(("sources", "rule"), [(9, None), (10, Rule.ACCOUNT_GUESSING)])
    def test_guessing_is_judged_by_addresses(self, sources: int, rule: Rule | None) -> None:
        """However few guesses each makes."""
        counted = AccountTally(
            account="somebody",
            user_id=None,
            window=Window(NOON, NOON + HOUR),
            sources=sources,
            some_sources=(SOURCE,),
            failures=sources,
            first_at=NOON,
            last_at=NOON,
        )
        assert judge_account(counted, DEFAULTS) is rule

    @pytest.mark.parametrize(("failures", "rule"), [(9, None), (10, Rule.SUCCESS_AFTER_FAILURES)])
    def test_a_success_is_judged_by_what_came_before(
        self, failures: int, rule: Rule | None
    ) -> None:
        """Ten wrong passwords."""
        counted = EntryTally(
            evidence_id=1,
            account="somebody",
            user_id=None,
            source=None,
            entered_at=NOON,
            failures=failures,
            sources=1,
            first_at=NOON,
        )
        assert judge_entry(counted, DEFAULTS) is rule

    def test_every_rule_has_a_severity(self) -> None:
        """A table without holes."""
        assert set(SEVERITIES) == set(Rule)


class TestWindows:
    """The grid."""

    @pytest.mark.parametrize("minutes", [0, 0.01, 7, 14.99, 15, 59, 61])
    def test_a_late_moment_lies_in_each_of_its_windows(self, minutes: float) -> None:
        """Four of them, a quarter apart."""
        moment = NOON + minutes * MINUTE
        found = windows_of(moment, length=HOUR, is_late=True)

        assert len(found) == 4
        assert all(one.starts_at <= moment < one.ends_at for one in found)
        assert {one.ends_at - one.starts_at for one in found} == {HOUR}

    def test_the_newest_moment_needs_the_window_that_reaches_back_farthest(self) -> None:
        """At least three quarters of the length lie before it."""
        (window,) = windows_of(NOON + 7 * MINUTE, length=HOUR, is_late=False)

        assert window == Window(NOON - 45 * MINUTE, NOON + 15 * MINUTE)

    def test_what_happens_within_three_quarters_shares_a_window(self) -> None:
        """Wherever it begins."""
        for start in range(0, 60, 7):
            first = windows_of(NOON + start * MINUTE, length=HOUR, is_late=True)
            last = windows_of(NOON + (start + 45) * MINUTE, length=HOUR, is_late=True)
            assert set(first) & set(last)


class TestEvidence:
    """What an event says about guessing."""

    def test_has_no_name_in_clear(self) -> None:
        """The hash of an unknown name, the digest of an agent."""
        failed = event(
            "identity.login.failed.v1",
            data={"user_id": None, "name_hash": "a-hash", "reason": "invalid_credentials"},
            useragent="Mozilla/5.0 (somebody's machine)",
        )
        found = evidence_of(failed, received_at=failed.time + MINUTE)

        assert found is not None
        assert (found.kind, found.account, found.user_id) == (Kind.FAILED, "name:a-hash", None)
        assert "machine" not in repr(found)
        assert found.is_late

    @pytest.mark.parametrize(
        "reason", ["email_not_verified", "account_disabled", "password_reset_required", "", 7]
    )
    def test_is_not_made_of_right_passwords(self, reason: object) -> None:
        """Who is turned away after a right password has not guessed."""
        failed = event("identity.login.failed.v1", data={"reason": reason})
        assert evidence_of(failed, received_at=NOON) is None

    @pytest.mark.parametrize(
        ("address", "source"),
        [
            ("203.0.113.7", "203.0.113.7/32"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "None"),
            ("nonsense", "None"),
            (None, "None"),
        ],
    )
    def test_knows_sources_as_blocks_do(self, address: str | None, source: str) -> None:
        """An IPv4 address, or the /64 a client chooses from."""
        failed = event(
            "identity.login.failed.v1", data={"reason": "invalid_credentials"}, ip=address
        )
        found = evidence_of(failed, received_at=NOON)
        assert found is not None
        assert str(found.source) == source

    def test_has_not_happened_after_it_was_received(self) -> None:
        """A producer's clock may be ahead."""
        ahead = event("identity.login.succeeded.v1", time=NOON + HOUR)
        found = evidence_of(ahead, received_at=NOON)
        assert found is not None
        assert (found.occurred_at, found.is_late) == (NOON, False)

    def test_agents_are_told_apart(self) -> None:
        """Nothing is an agent too."""
        assert agent_digest("a") != agent_digest("b")
        assert agent_digest(None) == agent_digest("") == NO_AGENT
