"""IP blocks as administrators and gateways meet them, on a real database."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from chassis.clock import SystemClock
from chassis.testing import eventually
from contracts.internal import IP_BLOCKS_PATH
from services.audit.models import IP_BLOCKS
from services.audit.tests.running import Service

BLOCKS = "/api/v1/admin/ip-blocks"


async def post(service: Service, **body: Any) -> httpx.Response:
    """Ask for a block."""
    return await service.call("POST", BLOCKS, json={"reason": "scans", **body})


async def made(service: Service, **body: Any) -> dict[str, Any]:
    """Make a block."""
    answer = await post(service, **body)
    assert answer.status_code == 201, answer.text
    block: dict[str, Any] = answer.json()
    return block


async def cidrs(service: Service, **params: Any) -> list[str]:
    """Return what is blocked."""
    answer = await service.get(BLOCKS, **params)
    assert answer.status_code == 200, answer.text
    return [item["cidr"] for item in answer.json()["items"]]


async def told(service: Service, verb: str, *, times: int = 1) -> list[dict[str, Any]]:
    """Wait until so many events are rows of the log; return them."""
    found: list[dict[str, Any]] = []

    async def recorded() -> bool:
        found[:] = await service.items(type=f"audit.ip.{verb}.v1")
        return len(found) >= times

    await eventually(recorded)
    return found


class TestBlocking:
    """POST."""

    async def test_is_shown_told_and_recorded(self, service: Service) -> None:
        """201, a row of the list, and an event with its actor."""
        block = await made(service, cidr="203.0.113.7")
        (row,) = await told(service, "blocked")

        assert block == (await service.get(BLOCKS)).json()["items"][0]
        assert {key: block[key] for key in ("cidr", "cause", "reason", "expires_at")} == {
            "cidr": "203.0.113.7/32",
            "cause": "admin",
            "reason": "scans",
            "expires_at": None,
        }
        assert (row["data"]["cidr"], row["data"]["reason"]) == ("203.0.113.7/32", "scans")
        assert (row["actor"], row["ip"]) == ("00000000-0000-7000-8000-00000000ad31", "198.51.100.9")

    async def test_lasts_as_long_as_asked(self, service: Service) -> None:
        """By minutes or by a time."""
        until = (SystemClock().now() + timedelta(hours=2)).isoformat()
        first = await made(service, cidr="203.0.113.7", duration_minutes=60)
        second = await made(service, cidr="203.0.113.8", expires_at=until)

        assert first["created_at"] < first["expires_at"] < second["expires_at"]

    @pytest.mark.parametrize("again", ["203.0.113.7", "203.0.113.7/32", "::ffff:203.0.113.7"])
    async def test_of_the_same_network_is_409(self, service: Service, again: str) -> None:
        """In whatever form; a wider one is another block."""
        await made(service, cidr="203.0.113.7")
        answer = await post(service, cidr=again)

        assert (answer.status_code, answer.json()["code"]) == (409, "ip_block_exists")
        assert (await post(service, cidr="203.0.113.0/24")).status_code == 201

    @pytest.mark.parametrize("cidr", ["198.51.100.9", "198.51.100.0/24", "::ffff:198.51.100.9"])
    async def test_of_the_own_address_needs_force(self, service: Service, cidr: str) -> None:
        """Nobody shuts themselves out by mistake."""
        answer = await post(service, cidr=cidr)

        assert (answer.status_code, answer.json()["code"]) == (409, "own_address")
        assert await cidrs(service) == []
        assert (await post(service, cidr=cidr, force=True)).status_code == 201

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"cidr": "203.0.113.7/24"}, "/cidr"),
            ({"cidr": "0.0.0.0/0"}, "/cidr"),
            ({"cidr": 7}, "/cidr"),
            ({"cidr": ""}, "/cidr"),
            ({}, "/cidr"),
            ({"cidr": "203.0.113.7", "reason": " "}, "/reason"),
            ({"cidr": "203.0.113.7", "reason": "a\nb"}, "/reason"),
            ({"cidr": "203.0.113.7", "duration_minutes": 0}, "/duration_minutes"),
            ({"cidr": "203.0.113.7", "duration_minutes": "5"}, "/duration_minutes"),
            ({"cidr": "203.0.113.7", "duration_minutes": 10**30}, "/duration_minutes"),
            ({"cidr": "203.0.113.7", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
            ({"cidr": "203.0.113.7", "expires_at": "2999-01-01T00:00:00Z"}, "/expires_at"),
            ({"cidr": "203.0.113.7", "expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
            ({"cidr": "203.0.113.7", "expires_at": 1900000000}, "/expires_at"),
            (
                {
                    "cidr": "203.0.113.7",
                    "duration_minutes": 5,
                    "expires_at": "2030-01-01T00:00:00Z",
                },
                "/duration_minutes",
            ),
            ({"cidr": "203.0.113.7", "force": "yes"}, "/force"),
            ({"cidr": "203.0.113.7", "cause": "detection"}, "/cause"),
        ],
    )
    async def test_refuses_bad_input_by_field(
        self, service: Service, body: dict[str, Any], pointer: str
    ) -> None:
        """400 with a pointer, and nothing is blocked."""
        answer = await post(service, **body)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert await cidrs(service) == []


class TestLifting:
    """DELETE."""

    async def test_ends_the_block_and_tells_it(self, service: Service) -> None:
        """204, and the same network can be blocked anew."""
        block = await made(service, cidr="2001:db8::/48")
        answer = await service.call("DELETE", f"{BLOCKS}/{block['id']}")
        (row,) = await told(service, "unblocked")

        assert (answer.status_code, answer.content) == (204, b"")
        assert await cidrs(service) == []
        assert row["data"]["cidr"] == "2001:db8::/48"
        assert (await post(service, cidr="2001:db8::/48")).status_code == 201

    async def test_of_what_is_not_there_is_404(self, service: Service) -> None:
        """Also the second time."""
        unknown = await service.call("DELETE", f"{BLOCKS}/{uuid4()}")
        garbage = await service.call("DELETE", f"{BLOCKS}/7")

        assert (unknown.status_code, unknown.json()["code"]) == (404, "ip_block_not_found")
        assert garbage.status_code == 404


class TestListing:
    """GET."""

    async def test_goes_page_by_page(self, service: Service) -> None:
        """The newest first, none twice."""
        for number in range(1, 4):
            await made(service, cidr=f"203.0.113.{number}")
        first = (await service.get(BLOCKS, limit=2)).json()
        rest = (await service.get(BLOCKS, limit=2, cursor=first["next_cursor"])).json()

        shown = [item["cidr"] for page in (first, rest) for item in page["items"]]
        assert shown == ["203.0.113.3/32", "203.0.113.2/32", "203.0.113.1/32"]
        assert rest["next_cursor"] is None

    async def test_finds_what_covers_an_address(self, service: Service) -> None:
        """Exactly or by prefix."""
        for cidr in ("203.0.113.7", "203.0.113.0/24", "203.0.113.8", "2001:db8::/48"):
            await made(service, cidr=cidr)

        assert await cidrs(service, address="203.0.113.7") == ["203.0.113.0/24", "203.0.113.7/32"]
        assert await cidrs(service, address="2001:db8:0:1::2") == ["2001:db8::/48"]

    @pytest.mark.parametrize("params", [{"limit": 0}, {"cursor": "x"}, {"address": "x"}, {"a": 1}])
    async def test_refuses_a_query_it_does_not_know(
        self, service: Service, params: dict[str, Any]
    ) -> None:
        """400."""
        assert (await service.get(BLOCKS, **params)).status_code == 400


class TestRights:
    """Who may."""

    @pytest.mark.parametrize("role", ["user", "moderator"])
    async def test_only_administrators(self, service: Service, role: str) -> None:
        """403 for everybody else, on every route."""
        answers = [
            await service.get(BLOCKS, role),
            await service.call(
                "POST", BLOCKS, role, json={"cidr": "203.0.113.7", "reason": "scans"}
            ),
            await service.call("DELETE", f"{BLOCKS}/{uuid4()}", role),
        ]

        assert [answer.status_code for answer in answers] == [403] * 3
        assert {answer.json()["code"] for answer in answers} == {"admin_role_required"}

    async def test_nobody_is_401(self, service: Service) -> None:
        """An anonymous caller."""
        assert (await service.get(BLOCKS, user=None)).status_code == 401


class TestExpiry:
    """Blocks whose time is over."""

    async def test_ends_the_block_and_tells_it(self, service: Service) -> None:
        """The background task does, without anybody asking."""
        await made(service, cidr="203.0.113.7", duration_minutes=5)
        await run_out(service)
        (row,) = await told(service, "unblocked")

        assert row["data"]["cidr"] == "203.0.113.7/32"
        assert row["actor"] is None
        assert await service.world.rows(sa.select(IP_BLOCKS)) == []


class TestTheGatewaysList:
    """GET /internal/v1/ip-blocks."""

    async def test_says_when_nothing_changed(self, service: Service) -> None:
        """The list comes once per revision."""
        await made(service, cidr="203.0.113.7")
        await made(service, cidr="2001:db8::/48", duration_minutes=5)
        first = (await service.get(IP_BLOCKS_PATH, user=None)).json()
        again = (await service.get(IP_BLOCKS_PATH, user=None, revision=first["revision"])).json()

        assert {b["cidr"] for b in first["blocks"]} == {"203.0.113.7/32", "2001:db8::/48"}
        assert set(first["blocks"][0]) == {"block_id", "cidr", "expires_at"}
        assert again == {"revision": first["revision"], "blocks": None}

    async def test_has_a_new_revision_after_every_change(self, service: Service) -> None:
        """Added, lifted, added again: never one that was there before."""
        revisions = [await self._revision(service)]
        for _ in range(2):
            block = await made(service, cidr="203.0.113.7")
            revisions.append(await self._revision(service))
            await service.call("DELETE", f"{BLOCKS}/{block['id']}")
        revisions.append(await self._revision(service))

        assert revisions[0] == revisions[-1] == "0.0.0"
        assert len(set(revisions)) == 3

    async def _revision(self, service: Service) -> str:
        answer = await service.get(IP_BLOCKS_PATH, user=None)
        return str(answer.json()["revision"])


async def run_out(service: Service) -> None:
    """Move the end of every block into the past."""
    past = SystemClock().now() - timedelta(seconds=1)
    await service.world.rows(sa.update(IP_BLOCKS).values(expires_at=past).returning(IP_BLOCKS.c.id))
