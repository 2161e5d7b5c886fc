"""Campaigns, and which findings are one alert, as plain functions."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import uuid4

import pytest

from services.audit.domain.detection.alerts import Alert, absorbed
from services.audit.domain.detection.campaigns import EVERYWHERE, Suspect, campaigns
from services.audit.domain.detection.findings import Finding, of_campaign
from services.audit.domain.detection.rules import (
    Rule,
    Thresholds,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DEFAULTS = Thresholds()
SOURCE = ip_network("203.0.113.7/32")


def suspects(count: int, *, agent: str | None = None) -> list[Suspect]:
    """Return sources that tried six accounts each."""
    return [
        Suspect(
            source=ip_network(f"198.51.100.{number}/32"),
            agent=agent or f"agent {number}",
            accounts=6,
            failures=7,
            first_seen=NOON + number * MINUTE,
            last_seen=NOON + number * MINUTE + MINUTE,
        )
        for number in range(count)
    ]


def finding(minutes: float, incident: str = "source:203.0.113.7/32") -> Finding:
    """Return something found so many minutes after noon."""
    moment = NOON + minutes * MINUTE
    return Finding(
        rule=Rule.PASSWORD_SPRAYING,
        incident=incident,
        addresses=(SOURCE,),
        attempts=15,
        first_seen=moment,
        last_seen=moment + MINUTE,
        scope="agent:stuffer",
    )


def alert(found: Finding) -> Alert:
    """Return the alert that *found* opens."""
    return Alert.of(found, alert_id=uuid4(), raised_at=NOON)


class TestCampaigns:
    """Many sources that do the same."""

    def test_are_known_by_their_agent(self) -> None:
        """Ten with the same name for themselves."""
        assert campaigns(suspects(9, agent="stuffer"), DEFAULTS) == ()
        (found,) = campaigns(suspects(10, agent="stuffer"), DEFAULTS)
        assert (found.scope, len(found.suspects)) == ("agent:stuffer", 10)

    def test_without_a_common_agent_need_three_times_as_many(self) -> None:
        """They belong together all the same."""
        assert campaigns(suspects(29), DEFAULTS) == ()
        (found,) = campaigns(suspects(30), DEFAULTS)
        assert (found.scope, len(found.suspects)) == (EVERYWHERE, 30)

    def test_are_found_with_their_counts(self) -> None:
        """Every suspect is a cause; twenty are named, the last seen first."""
        (campaign,) = campaigns(suspects(25, agent="stuffer"), DEFAULTS)
        found = of_campaign(campaign, [])

        assert (found.address, len(found.addresses), found.address_count) == (None, 20, 25)
        assert (found.accounts, found.attempts, len(found.hostile)) == (150, 175, 25)
        assert str(found.addresses[0]) == "198.51.100.24/32"
        assert (found.first_seen, found.last_seen) == (NOON, NOON + 25 * MINUTE)


class TestIncidents:
    """Which findings are one alert."""

    @pytest.mark.parametrize(
        ("minutes", "same"), [(0, True), (61, True), (61.1, False), (-61, True), (-62, False)]
    )
    def test_last_until_a_quiet_time(self, minutes: float, *, same: bool) -> None:
        """Sixty minutes without the pattern, before or after."""
        assert alert(finding(0)).has(finding(minutes), quiet=HOUR) is same

    def test_differ_by_what_is_attacked_or_attacking(self) -> None:
        """Another source is another incident."""
        assert not alert(finding(0)).has(finding(0, "source:203.0.113.8/32"), quiet=HOUR)

    def test_grow(self) -> None:
        """Attempts add up; addresses are named once and few."""
        grown = alert(finding(0)).grown(finding(10), attempts=3)

        assert (grown.attempts, grown.addresses) == (18, (SOURCE,))
        assert (grown.first_seen, grown.last_seen) == (NOON, NOON + 11 * MINUTE)

    def test_a_source_is_part_of_the_campaign_of_its_agent(self) -> None:
        """Unless it has an alert of its own."""
        own, other = finding(5), finding(5, "source:203.0.113.8/32")
        campaign = alert(finding(0, "campaign:agent:stuffer"))
        everywhere = alert(finding(0, f"campaign:{EVERYWHERE}"))

        part = absorbed(own, [campaign], quiet=HOUR)
        assert (part.incident, part.rule, part.address) == (
            "campaign:agent:stuffer",
            Rule.CREDENTIAL_STUFFING,
            None,
        )
        assert absorbed(own, [everywhere], quiet=HOUR).incident == f"campaign:{EVERYWHERE}"
        assert absorbed(own, [campaign, alert(own)], quiet=HOUR) is own
        assert absorbed(other, [], quiet=HOUR) is other
