"""An administrator asks for pages of the log."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from chassis.testing import NOBODY
from services.audit.tests.running import AUDIT, Service
from services.audit.tests.samples import TRACE_ID, event, user_id


class TestListing:
    """An administrator reads the log."""

    async def test_shows_what_happened(self, service: Service) -> None:
        """A published event is an entry with everything the event told."""
        person = user_id()
        happened = event(
            "identity.user.registered.v1",
            data={"user_id": person, "email": "ada@example.com", "username": "ada"},
            actor=person,
        ).numbered(41)
        await service.publish(happened)

        (entry,) = await service.items()

        received_at = entry.pop("received_at")
        assert received_at > "2026-"
        assert entry == {
            "id": str(happened.id),
            "type": "identity.user.registered.v1",
            "outcome": "success",
            "actor": person,
            "subject": person,
            "ip": "203.0.113.7",
            "user_agent": "Firefox",
            "occurred_at": "2026-01-02T03:04:05.000678Z",
            "source": "identity",
            "producerseq": "41",
            "trace_id": TRACE_ID,
            "data": {
                "user_id": person,
                "email": "ada@example.com",
                "username": "ada",
                "roles": ["user"],
                "is_verified": True,
            },
            "erased": False,
        }

    async def test_moderators_read_it_too(self, service: Service) -> None:
        """Support does not need the keys of the house."""
        answer = await service.get(AUDIT, "moderator", "user")

        assert answer.status_code == 200

    @pytest.mark.parametrize("path", [AUDIT, f"{AUDIT}/export", f"{AUDIT}/{NOBODY}"])
    async def test_others_do_not(self, service: Service, path: str) -> None:
        """A user is forbidden, a stranger unauthenticated, and neither learns anything."""
        as_user = await service.get(path, "user")
        as_nobody = await service.get(path, user=None)

        assert (as_user.status_code, as_user.json()["code"]) == (403, "reader_role_required")
        assert (as_nobody.status_code, as_nobody.json()["code"]) == (401, "unauthenticated")

    async def test_pages_are_stable_while_rows_arrive(self, service: Service) -> None:
        """Nothing is shown twice and nothing skipped that was there at the start."""
        old = [event("identity.login.failed.v1") for _ in range(5)]
        await service.publish(*old)
        seen: list[str] = []
        cursor: dict[str, Any] = {}
        for _ in range(3):
            answer = await service.get(AUDIT, type="identity.login.failed.v1", limit=2, **cursor)
            seen += [item["id"] for item in answer.json()["items"]]
            cursor = {"cursor": answer.json()["next_cursor"]}
            await service.publish(event("identity.login.failed.v1"))

        assert cursor == {"cursor": None}
        assert sorted(seen) == sorted(str(one.id) for one in old)

    async def test_filters_find_what_they_name(self, service: Service) -> None:
        """Each filter alone, and several together."""
        person, admin = user_id(), user_id()
        locked = event(
            "identity.user.locked.v1", data={"user_id": person}, actor=admin, ip="10.1.2.3"
        )
        failed = event("identity.login.failed.v1", data={"user_id": person}, ip="2001:db8::1")
        rotated = event("token.signing_key.rotated.v1", subject="an example", ip=None)
        await service.publish(locked)
        await service.publish(failed, rotated)
        moment = next(
            row["received_at"] for row in await service.items() if row["id"] == str(failed.id)
        )

        async def found(**params: str) -> set[UUID]:
            items = await service.items(**params)
            return {UUID(i["id"]) for i in items if i["type"] != "audit.log.read.v1"}

        assert await found(type="identity.user.locked.v1") == {locked.id}
        assert await found(actor=admin) == {locked.id}
        assert await found(target=person) == {locked.id, failed.id}
        assert await found(target="an example") == {rotated.id}
        assert await found(ip="10.1.2.3") == {locked.id}
        assert await found(ip="2001:db8::/32") == {failed.id}
        assert await found(outcome="failure") == {failed.id}
        assert await found(to=moment) == {locked.id}
        assert await found(**{"from": moment}) == {failed.id, rotated.id}
        assert await found(target=person, outcome="success", ip="10.0.0.0/8") == {locked.id}
        assert await found(actor=person) == set()

    @pytest.mark.parametrize(
        ("params", "pointer"),
        [
            ({"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "/to"),
            ({"from": "yesterday"}, "/from"),
            ({"from": "1700000000"}, "/from"),
            ({"from": "2026-01-01T00:00:00"}, "/from"),
            ({"to": "0001-01-01T00:00:00+14:00"}, "/to"),
            ({"limit": "0"}, "/limit"),
            ({"limit": "201"}, "/limit"),
            ({"limit": str(2**63)}, "/limit"),
            ({"cursor": "AAAA"}, "/cursor"),
            ({"cursor": "_____________________________________w=="}, "/cursor"),
            ({"cursor": "%"}, "/cursor"),
            ({"ip": "1.2.3.4.5"}, "/ip"),
            ({"ip": "10.0.0.0/33"}, "/ip"),
            ({"outcome": "maybe"}, "/outcome"),
            ({"type": "*"}, "/type"),
            ({"actor": "x" * 201}, "/actor"),
            ({"actor": "\0"}, "/actor"),
            ({"order": "desc"}, "/order"),
            ({"limit": ["1", "2"]}, "/limit"),
        ],
    )
    async def test_bad_input_is_named(
        self, service: Service, params: dict[str, Any], pointer: str
    ) -> None:
        """A 400 that points at the parameter, never a 500."""
        answer = await service.get(AUDIT, **params)

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == pointer

    async def test_sql_is_text(self, service: Service) -> None:
        """Whatever stands in a filter is compared, never run."""
        await service.publish(event("identity.login.failed.v1"))
        attack = "' OR 1=1; SELECT pg_sleep(5); --"

        by_actor = await service.items(actor=attack)
        by_target = await service.items(target=attack, outcome="failure")
        refused = [
            (await service.get(f"{AUDIT}?{urlencode({name: attack})}")).status_code
            for name in ("type", "ip", "outcome", "from", "limit", "cursor")
        ]

        assert (by_actor, by_target) == ([], [])
        assert refused == [400] * 6
