"""The other views of the log, and the rows that each view leaves."""

import csv
import json
from typing import Any
from uuid import UUID

import pytest

from chassis.testing import NOBODY
from services.audit.tests.running import AUDIT, OWN, Service
from services.audit.tests.samples import event, user_id
from services.audit.tests.world import ADMIN


class TestReadingIsAudited:
    """Who watches the watchers."""

    async def test_every_view_leaves_a_row(self, service: Service) -> None:
        """List, entry, export, own export: who, from where, and what was asked."""
        person = user_id()
        happened = event("identity.login.succeeded.v1", data={"user_id": person})
        await service.publish(happened)
        await service.get(AUDIT, target=person, outcome="success")
        await service.get(f"{AUDIT}/{happened.id}")
        await service.get(f"{AUDIT}/export", ip="10.0.0.0/8")
        await service.get(OWN, "user", user=UUID(person))

        rows = await service.reads()

        assert [row["data"] for row in rows] == [
            {"view": "list", "filters": ["outcome", "target"], "outcome": "success", "rows": 1},
            {"view": "entry", "filters": [], "entry": str(happened.id), "rows": 1},
            {"view": "export", "filters": ["ip"], "ip": "10.0.0.0/8"},
            {"view": "own_export", "filters": []},
        ]
        assert [row["actor"] for row in rows] == [str(ADMIN)] * 3 + [person]
        assert rows[0]["subject"] == person
        assert {row["ip"] for row in rows} == {"198.51.100.9"}

    async def test_a_refused_reader_reads_nothing(self, service: Service) -> None:
        """A refusal is the gateway's to tell; the log has no read to show for it."""
        await service.get(AUDIT, "user")

        assert await service.reads() == []


class TestEntry:
    """One entry by its id."""

    async def test_is_shown(self, service: Service) -> None:
        """The id is the event's."""
        happened = event("identity.user.enabled.v1")
        await service.publish(happened)

        answer = await service.get(f"{AUDIT}/{happened.id}")

        assert answer.json()["id"] == str(happened.id)

    @pytest.mark.parametrize(
        ("id_", "code"), [(str(NOBODY), "audit_entry_not_found"), ("1%20OR%201=1", "not_found")]
    )
    async def test_unknown_is_404(self, service: Service, id_: str, code: str) -> None:
        """Unknown ids and what is no id at all."""
        answer = await service.get(f"{AUDIT}/{id_}")

        assert (answer.status_code, answer.json()["code"]) == (404, code)

    async def test_shows_that_a_person_was_erased(self, service: Service) -> None:
        """What is left of an entry says so."""
        person = user_id()
        happened = event("identity.login.succeeded.v1", data={"user_id": person})
        await service.publish(happened)
        await service.publish(event("identity.user.deleted.v1", data={"user_id": person}))

        entry = (await service.get(f"{AUDIT}/{happened.id}")).json()

        assert (entry["erased"], entry["subject"], entry["ip"]) == (True, None, None)
        assert entry["data"] == {"amr": ["user"]}


class TestExport:
    """Everything that matches, streamed."""

    async def test_ndjson_has_every_entry_of_every_page(self, service: Service) -> None:
        """More entries than one page of the database holds."""
        batch = [event("token.token.refreshed.v1") for _ in range(601)]
        await service.publish(*batch)

        answer = await service.get(f"{AUDIT}/export", type="token.token.refreshed.v1")

        lines = answer.text.splitlines()
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        assert "attachment" in answer.headers["content-disposition"]
        assert {json.loads(line)["id"] for line in lines} == {str(one.id) for one in batch}
        assert len(lines) == 601

    @pytest.mark.parametrize(
        "agent", ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", " =1+1", "\uff1d1"]
    )
    async def test_csv_cells_are_no_formulas(self, service: Service, agent: str) -> None:
        """ASVS 1.2.10: a spreadsheet shows the text instead of computing it."""
        await service.publish(event("identity.login.failed.v1", useragent=agent))

        answer = await service.get(f"{AUDIT}/export", format="csv")

        header, row = list(csv.reader(answer.text.splitlines()))
        assert answer.headers["content-type"].startswith("text/csv")
        assert dict(zip(header, row, strict=True))["user_agent"] == f"'{agent}"

    async def test_csv_keeps_rows_apart(self, service: Service) -> None:
        """Quotes, commas and line breaks stay inside their cell."""
        await service.publish(event("identity.login.failed.v1", useragent='a","b\r\nc'))

        answer = await service.get(f"{AUDIT}/export", format="csv")

        header, row = list(csv.reader(answer.text.splitlines(keepends=True)))
        assert dict(zip(header, row, strict=True))["user_agent"] == 'a","b\r\nc'

    @pytest.mark.parametrize("params", [{"format": "xml"}, {"limit": "1"}, {"from": "x"}])
    async def test_bad_input_is_400(self, service: Service, params: dict[str, Any]) -> None:
        """As for a list."""
        assert (await service.get(f"{AUDIT}/export", **params)).status_code == 400


class TestOwnExport:
    """Somebody asks what the log holds of them."""

    async def test_shows_the_own_share_alone(self, service: Service) -> None:
        """What others did to the account is there, but not who they are or where from."""
        person, admin, other = user_id(), user_id(), user_id()
        await service.publish(
            event("identity.login.succeeded.v1", data={"user_id": other}),
            event("identity.user.locked.v1", data={"user_id": person}, actor=admin, ip="10.9.8.7"),
        )

        answer = await service.get(OWN, "user", user=UUID(person))

        (line,) = answer.text.splitlines()
        assert json.loads(line)["subject"] == person
        assert json.loads(line)["actor"] is None
        assert admin not in line
        assert "10.9.8.7" not in line

    async def test_wants_somebody(self, service: Service) -> None:
        """A stranger has nothing to export."""
        assert (await service.get(OWN, user=None)).status_code == 401
