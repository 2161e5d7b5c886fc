"""What the gateway refused stands in the audit log."""

from pathlib import Path
from typing import Any
from uuid import uuid4

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
            answer = await person.refresh("gh_rt_" + "A" * 43)
            assert (answer.status_code, answer.headers.get("gatehouse-report")) == (401, None)
            path = f"/api/v1/sessions/{uuid4()}"
            answer = await person.call("DELETE", path, token=person.access_token)
            assert (answer.status_code, answer.headers.get("gatehouse-report")) == (404, None)
    platform.stop()
    platform.start()
    async with platform.admin() as admin:
        items = await eventually(lambda: _denials(admin))
    platform.stop()

    told = {
        (item["data"]["reason"], item["data"]["route"], item["actor"], item["data"]["count"])
        for item in items
    }
    assert len(items) == 3
    assert {(item["outcome"], item["ip"]) for item in items} == {("denied", person.address)}
    assert {item["data"]["window_seconds"] for item in items} == {60}
    assert told == {
        ("forbidden", "/api/v1/admin/audit", person.user_id, 3),
        ("invalid_refresh_token", "/api/v1/auth/refresh", None, 3),
        ("foreign_session", "/api/v1/sessions/{id}", person.user_id, 3),
    }
