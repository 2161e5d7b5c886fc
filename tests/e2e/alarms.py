"""What an attack led to: alerts, events of the log, mails."""

from typing import Any
from urllib.parse import urlencode

from chassis.testing import eventually
from tests.platforms.person import Person
from tests.platforms.platform import Platform

ALERTS = "/api/v1/admin/alerts"
DETECTED = "audit.suspicious_activity.detected.v1"


async def alerts_of(admin: Person, *, within: float = 20, **filters: str) -> list[dict[str, Any]]:
    """Wait until there are alerts that match, and return them."""

    async def raised() -> list[dict[str, Any]]:
        return await _items(admin, ALERTS, **filters)

    return await eventually(raised, within=within)


async def events_of(admin: Person, alert: dict[str, Any]) -> list[dict[str, Any]]:
    """Wait until the log has told *alert*, and return the events that did."""

    async def recorded() -> list[dict[str, Any]]:
        rows = await _items(admin, "/api/v1/admin/audit", type=DETECTED, limit="200")
        return [row for row in rows if row["data"]["alert_id"] == alert["id"]]

    return await eventually(recorded, within=20)


async def mails_about(platform: Platform, to: str, alert: dict[str, Any]) -> list[str]:
    """Wait until the security box has a mail about *alert*; return the texts of all of them."""

    async def arrived() -> list[str]:
        mails = await platform.mailbox.mails(to)
        return [mail.text for mail in mails if alert["id"] in mail.text]

    return await eventually(arrived, within=20)


async def subjects(platform: Platform, to: str) -> list[str]:
    """Return the subjects of all mails to one address."""
    return [mail.subject for mail in await platform.mailbox.mails(to)]


async def _items(admin: Person, path: str, **filters: str) -> list[dict[str, Any]]:
    answer = await admin.call("GET", f"{path}?{urlencode(filters)}", token=admin.access_token)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
