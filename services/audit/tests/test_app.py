"""The service as others meet it: over HTTP, behind assertions, fed by the bus."""

import csv
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa

from chassis.app import Deployable
from chassis.assertions import HEADER, AssertionSigner
from chassis.bus import Message
from chassis.caller import Principal
from chassis.clock import SystemClock
from chassis.crypto import b64encode
from chassis.inprocess import InProcessBus
from chassis.testing import eventually
from chassis.testing.fixtures import MakeDatabase
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent
from services.audit.app import build
from services.audit.consumers import QUEUE
from services.audit.models import AUDIT_LOG
from services.audit.settings import AuditSettings
from services.audit.tests.samples import TRACE_ID, event, user_id
from services.audit.tests.world import ADMIN, MIGRATIONS, World, ids, sample

SECRET = b"s" * 32
AUDIT = "/api/v1/admin/audit"
OWN = "/api/v1/users/me/export"

Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


class Service:
    """A running audit service, its bus, and clients of several roles."""

    def __init__(self, deployable: Deployable, bus: InProcessBus, world: World) -> None:
        self.deployable = deployable
        self.bus = bus
        self.world = world
        self._signer = AssertionSigner(
            issuer="gateway", audience="audit", secrets=[SECRET], clock=SystemClock()
        )

    async def publish(self, *events: CloudEvent) -> None:
        """Publish *events* and wait until they are rows."""
        messages = [
            Message(id=e.id, exchange=EVENTS_EXCHANGE, routing_key=e.type, body=e.to_json())
            for e in events
        ]
        await self.bus.publish(messages)
        await eventually(lambda: self._holds(events))

    async def get(
        self, path: str, *roles: str, user: UUID | None = ADMIN, **params: Any
    ) -> httpx.Response:
        """Ask as *user* with *roles* (admin when none is given), or as nobody."""
        principal = None if user is None else _principal(user, *roles)

        async def sign(request: httpx.Request) -> None:
            request.headers[HEADER] = self._signer.sign(
                request.method,
                request.url.raw_path.decode(),
                request_id="a-request-id",
                principal=principal,
                client_address="198.51.100.9",
            )

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.deployable.http),
            base_url="http://audit",
            event_hooks={"request": [sign]},
        ) as client:
            return await client.get(path, params=params or None)

    async def items(self, **params: Any) -> list[dict[str, Any]]:
        """Return the entries that match."""
        answer = await self.get(AUDIT, **params)
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def reads(self) -> list[dict[str, Any]]:
        """Return the rows that reading left, oldest first."""
        found = await self.items(type="audit.log.read.v1")
        return found[::-1]

    async def _holds(self, events: tuple[CloudEvent, ...]) -> bool:
        wanted = AUDIT_LOG.c.event_id.in_(ids(events))
        return len(await self.world.rows(sa.select(AUDIT_LOG).where(wanted))) == len(events)


def _principal(user: UUID, *roles: str) -> Principal:
    return Principal(
        user_id=user, session_id=uuid4(), roles=frozenset(roles or {"admin"}), version=1
    )


@pytest.fixture
async def service(make_database: MakeDatabase) -> AsyncIterator[Service]:
    """Give the service as `make run` runs it: on the in-process bus."""
    fresh = await make_database("audit", MIGRATIONS)
    settings = AuditSettings(
        database_url=fresh.app_url,
        database_pool_min=1,
        assertion_secrets_from_gateway=b64encode(SECRET),
    )
    bus = InProcessBus([QUEUE])
    deployable = build(settings, bus=bus)
    world = World(fresh)
    async with _running(deployable):
        bus.open()
        yield Service(deployable, bus, world)
    await world.database.close()


@asynccontextmanager
async def _running(deployable: Deployable) -> AsyncIterator[None]:
    async with deployable.lifespan():
        deployable.health.started = True
        yield


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
            },
            "erased": False,
        }

    async def test_moderators_read_it_too(self, service: Service) -> None:
        """Support does not need the keys of the house."""
        answer = await service.get(AUDIT, "moderator", "user")

        assert answer.status_code == 200

    @pytest.mark.parametrize("path", [AUDIT, f"{AUDIT}/export", f"{AUDIT}/{uuid4()}"])
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
        ("id_", "code"), [(str(uuid4()), "audit_entry_not_found"), ("1%20OR%201=1", "not_found")]
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


class TestService:
    """The process around it."""

    async def test_refuses_calls_without_an_assertion(self, service: Service) -> None:
        """Nobody gets past the gateway."""
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(service.deployable.http), base_url="http://audit"
        ) as client:
            answer = await client.get(AUDIT)

        assert (answer.status_code, answer.json()["code"]) == (401, "assertion_required")

    async def test_is_ready_and_measures(self, service: Service) -> None:
        """Rows and lag are counted."""
        await service.publish(event("identity.login.succeeded.v1"))
        registry = service.deployable.metrics.registry

        assert await service.deployable.health.failing() == []
        type_ = "identity.login.succeeded.v1"
        assert sample(registry, "gatehouse_audit_rows_total", type=type_) == 1
        assert sample(registry, "gatehouse_audit_lag_seconds_count") == 1

    async def test_has_its_partitions(self, service: Service) -> None:
        """The task at the start has made them."""
        count = sa.text("SELECT count(*) FROM audit_partitions")

        async def four() -> bool:
            return bool((await service.world.rows(count))[0][0] == 4)

        await eventually(four)

    async def test_refuses_to_start_without_a_bus(self) -> None:
        """Neither a broker nor a bus in process: exit 78, with the reason."""
        settings = AuditSettings(
            database_url="postgresql+asyncpg://nobody@localhost/none",
            assertion_secrets_from_gateway=b64encode(SECRET),
        )

        with pytest.raises(SystemExit) as exited:
            build(settings)
        assert exited.value.code == 78
