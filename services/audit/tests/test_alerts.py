"""Alerts as administrators meet them: over HTTP, raised by the running service."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.clock import SystemClock
from chassis.testing import FixedClock, eventually
from services.audit.tests.attacks import spraying
from services.audit.tests.running import Service
from services.audit.tests.samples import event
from services.audit.tests.watch import Door
from services.audit.tests.world import ADMIN

ALERTS = "/api/v1/admin/alerts"
STRANGER = "203.0.113.7"


@pytest.fixture
def door() -> Door:
    """Give the maker of events, a quarter of an hour ago."""
    return Door(FixedClock(SystemClock().now() - timedelta(minutes=15)))


async def items(service: Service, **params: Any) -> list[dict[str, Any]]:
    """Return the alerts that match."""
    answer = await service.get(ALERTS, **params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def raised(service: Service, *, count: int = 1) -> list[dict[str, Any]]:
    """Wait for so many alerts and return them."""

    async def there() -> list[dict[str, Any]] | None:
        found = await items(service)
        return found if len(found) == count else None

    return await eventually(there)


async def settle(service: Service, alert_id: str, what: str, *roles: str) -> Any:
    """Acknowledge or close an alert."""
    return await service.call("POST", f"{ALERTS}/{alert_id}/{what}", *roles)


class TestRaising:
    """From the bus to the list."""

    async def test_is_shown_told_blocked_and_recorded(self, service: Service, door: Door) -> None:
        """The running service does it by itself, and its own event reaches its own log."""
        await service.publish(*spraying(door))
        (alert,) = await raised(service)

        assert (alert["rule"], alert["severity"], alert["status"]) == (
            "password_spraying",
            "high",
            "open",
        )
        assert (alert["address"], alert["user_id"]) == (f"{STRANGER}/32", None)
        assert (alert["attempts"], alert["accounts"], alert["blocked"]) == (30, 30, 1)
        assert alert["acknowledged_by"] is alert["closed_by"] is None

        async def recorded() -> list[dict[str, Any]]:
            return await service.items(type="audit.suspicious_activity.detected.v1")

        (row,) = await eventually(recorded)
        assert row["subject"] == alert["id"]
        assert row["data"]["address"] == STRANGER
        blocks = (await service.get("/api/v1/admin/ip-blocks")).json()["items"]
        assert [(b["cidr"], b["cause"], b["reason"]) for b in blocks] == [
            (f"{STRANGER}/32", "detection", "password_spraying")
        ]

    async def test_for_a_user_is_found_by_the_user(self, service: Service, door: Door) -> None:
        """And by rule, severity, status, address and time."""
        victim = uuid4()
        await service.publish(*spraying(door), door.reused(victim, "198.51.100.77"))
        await raised(service, count=2)
        past = (SystemClock().now() - timedelta(hours=1)).isoformat()

        asked: tuple[dict[str, Any], ...] = (
            {"user_id": str(victim)},
            {"rule": "refresh_token_reuse"},
            {"address": "198.51.100.77"},
            {"status": "open", "severity": "high", "from": past, "user_id": str(victim)},
        )
        for params in asked:
            (found,) = await items(service, **params)
            assert found["user_id"] == str(victim), params
        assert await items(service, status="closed") == []
        assert await items(service, to=past) == []


class TestListing:
    """GET."""

    async def test_goes_page_by_page(self, service: Service, door: Door) -> None:
        """The newest first, none twice."""
        people = [uuid4() for _ in range(5)]
        await service.publish(*(door.reused(person, STRANGER) for person in people))
        await raised(service, count=5)

        seen: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            page = (await service.get(ALERTS, limit=2, **cursor)).json()
            seen += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen)) == 5
        assert seen == sorted(seen, reverse=True)

    @pytest.mark.parametrize(
        "params",
        [
            {"limit": 0},
            {"limit": 201},
            {"cursor": "x"},
            {"status": "gone"},
            {"rule": "x"},
            {"severity": "low"},
            {"user_id": "x"},
            {"address": "203.0.113.0/24"},
            {"from": "yesterday"},
            {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            {"unknown": "1"},
            {"rule": ["password_spraying", "account_guessing"]},
        ],
    )
    async def test_refuses_a_query_it_does_not_know(
        self, service: Service, params: dict[str, Any]
    ) -> None:
        """400 with a pointer."""
        answer = await service.get(ALERTS, **params)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert answer.json()["errors"][0]["pointer"].startswith("/")


class TestSettling:
    """POST."""

    async def test_keeps_who_took_it_up_and_who_closed_it(
        self, service: Service, door: Door
    ) -> None:
        """Each is an event of the log with its actor; repeating changes nothing."""
        await service.publish(door.reused(uuid4(), STRANGER))
        (alert,) = await raised(service)

        taken = (await settle(service, alert["id"], "acknowledge")).json()
        again = (await settle(service, alert["id"], "acknowledge")).json()
        closed = (await settle(service, alert["id"], "close")).json()
        once_more = (await settle(service, alert["id"], "close")).json()

        assert (taken["status"], taken["acknowledged_by"]) == ("acknowledged", str(ADMIN))
        assert (closed["status"], closed["closed_by"]) == ("closed", str(ADMIN))
        assert (again, once_more) == (taken, closed)
        assert closed["acknowledged_at"] == taken["acknowledged_at"] < closed["closed_at"]
        assert await items(service, status="closed") == [closed]

        async def recorded() -> bool:
            rows = [
                row
                for verb in ("acknowledged", "closed")
                for row in await service.items(type=f"audit.alert.{verb}.v1")
            ]
            return [(row["actor"], row["subject"]) for row in rows] == [
                (str(ADMIN), alert["id"])
            ] * 2

        await eventually(recorded)

    async def test_of_a_closed_one_is_409(self, service: Service, door: Door) -> None:
        """It is dealt with."""
        await service.publish(door.reused(uuid4(), STRANGER))
        (alert,) = await raised(service)
        await settle(service, alert["id"], "close")
        answer = await settle(service, alert["id"], "acknowledge")

        assert (answer.status_code, answer.json()["code"]) == (409, "alert_closed")

    @pytest.mark.parametrize("what", ["acknowledge", "close"])
    async def test_of_what_is_not_there_is_404(self, service: Service, what: str) -> None:
        """An id nobody has, and none at all."""
        unknown = await settle(service, str(uuid4()), what)
        garbage = await settle(service, "7", what)

        assert (unknown.status_code, unknown.json()["code"]) == (404, "alert_not_found")
        assert garbage.status_code == 404

    async def test_forgets_a_deleted_administrator(self, service: Service, door: Door) -> None:
        """That it was closed stays, by whom goes."""
        await service.publish(door.reused(uuid4(), STRANGER))
        (alert,) = await raised(service)
        await settle(service, alert["id"], "acknowledge")
        await settle(service, alert["id"], "close")
        await service.publish(event("identity.user.deleted.v1", data={"user_id": str(ADMIN)}))

        (found,) = await items(service)
        assert (found["status"], found["acknowledged_by"], found["closed_by"]) == (
            "closed",
            None,
            None,
        )


class TestRights:
    """Who may."""

    @pytest.mark.parametrize(
        ("roles", "user", "status"),
        [(("user",), ADMIN, 403), (("moderator",), ADMIN, 403), ((), None, 401)],
    )
    async def test_only_administrators(
        self, service: Service, roles: tuple[str, ...], user: UUID | None, status: int
    ) -> None:
        """On every route."""
        answers = [
            await service.get(ALERTS, *roles, user=user),
            await service.get("/api/v1/admin/stats", *roles, user=user),
            await service.call("POST", f"{ALERTS}/{uuid4()}/acknowledge", *roles, user=user),
            await service.call("POST", f"{ALERTS}/{uuid4()}/close", *roles, user=user),
        ]

        assert [answer.status_code for answer in answers] == [status] * 4
