"""What the gateway refused stands in the audit log."""

from pathlib import Path
from typing import Any

import pytest

from chassis.testing import eventually
from tests.platforms.person import Person
from tests.platforms.single import SingleProcess

pytestmark = pytest.mark.slow


async def _denials(admin: Person) -> list[dict[str, Any]]:
    path = "/api/v1/admin/audit?type=gateway.request.denied.v1"
    answer = await admin.call("GET", path, token=admin.access_token)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_refusals_are_recorded_with_who_and_from_where(tmp_path: Path) -> None:
    """Those of the running window when the process stops, at the latest."""
    platform = SingleProcess(tmp_path)
    platform.start()
    async with platform.person() as person:
        await person.join()
        for _ in range(3):
            answer = await person.call("GET", "/api/v1/admin/audit", token=person.access_token)
            assert answer.status_code == 403
    platform.stop()
    platform.start()
    async with platform.admin() as admin:
        items = await eventually(lambda: _denials(admin))
    platform.stop()

    (item,) = items
    told = (item["outcome"], item["actor"], item["ip"])
    assert told == ("denied", person.user_id, person.address)
    assert item["data"] == {
        "reason": "forbidden",
        "route": "/api/v1/admin/audit",
        "count": 3,
        "window_seconds": 60,
    }
