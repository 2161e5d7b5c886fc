"""What arrives becomes rows."""

import json
from datetime import UTC, timedelta
from typing import Any

import pytest

from chassis.testing.servers import PostgresServer
from contracts.registry import EVENT_TYPES
from services.audit.domain.classification import RULES
from services.audit.domain.leaves import verifies
from services.audit.tests.samples import OCCURRED_AT, TRACE_ID, event, user_id
from services.audit.tests.world import World, ids

USER_DELETED = "identity.user.deleted.v1"


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


class TestRecording:
    """A batch of events from the queue."""

    async def test_every_type_becomes_a_row(self, world: World) -> None:
        """Nothing that the contracts know is refused."""
        events = [event(type_) for type_ in EVENT_TYPES]

        await world.deliver(*events)

        rows = await world.log()
        assert {row.event_id for row in rows} == set(ids(events))
        assert {row.type: row.outcome for row in rows} == {
            type_: RULES[type_].outcome for type_ in EVENT_TYPES
        }
        assert await world.dead() == []

    async def test_a_row_has_both_times_and_the_trace(self, world: World) -> None:
        """When it happened comes from the event, when it was received from the database."""
        happened = event("identity.login.succeeded.v1").numbered(7)

        await world.deliver(happened)

        (row,) = await world.log()
        assert row.occurred_at == OCCURRED_AT
        assert row.received_at - OCCURRED_AT > timedelta(0)
        assert row.trace_id == TRACE_ID
        assert (row.source, row.producerseq, row.leaf_index) == ("identity", 7, None)
        leaf = json.loads(row.leaf_bytes)
        assert leaf["received_at"] == row.received_at.astimezone(UTC).strftime(
            "%Y-%m-%dT%H:%M:%S.%fZ"
        )

    async def test_personal_data_stands_in_the_side_table_alone(self, world: World) -> None:
        """The log itself names nobody; what names somebody proves itself by its commitment."""
        person = user_id()
        registered = event(
            "identity.user.registered.v1",
            data={"user_id": person, "email": "ada@example.com", "username": "lovelace"},
            actor=person,
        )

        await world.deliver(registered)

        (row,), (personal,) = await world.log(), await world.personal()
        for text in (person, "lovelace", "example.com", "203.0.113.7", "Firefox"):
            assert text.encode() not in row.leaf_bytes
            assert text.encode() in personal.body
        leaf = json.loads(row.leaf_bytes)
        assert leaf["data"] == {"roles": ["user"], "is_verified": True}
        commitment = leaf["pii_commit"]["subject"]
        assert verifies(commitment, salt=personal.salt, body=personal.body)
        assert not verifies(commitment, salt=personal.salt, body=personal.body + b" ")

    async def test_a_duplicate_adds_nothing(self, world: World) -> None:
        """The same event in one batch, in the next, and from a second consumer is one row."""
        happened = event("identity.login.succeeded.v1")

        await world.deliver(happened, happened)
        await world.deliver(happened)

        assert [row.event_id for row in await world.log()] == [happened.id]
        assert world.sample("gatehouse_audit_rows_total", type="identity.login.succeeded.v1") == 1

    @pytest.mark.parametrize(
        "poison",
        [
            pytest.param({"reason": "\ud800"}, id="lone surrogate"),
            pytest.param({"reason": float("nan")}, id="NaN"),
        ],
    )
    async def test_poison_in_the_middle_costs_nobody_else(
        self, world: World, poison: dict[str, Any]
    ) -> None:
        """The others of the batch are stored, the poison lies dead with its reason."""
        good = [event("identity.login.failed.v1") for _ in range(4)]
        bad = event("identity.login.failed.v1", data=poison)
        body = json.dumps(bad.to_dict()).encode()
        bodies = [(one.type, one.to_json()) for one in good]

        await world.deliver_bodies(*bodies[:2], (bad.type, body), ("any.key", b"{"), *bodies[2:])

        assert {row.event_id for row in await world.log()} == set(ids(good))
        dead = await world.dead()
        assert {row.message_id for row in dead} >= {bad.id}
        assert len(dead) == 2

    async def test_texts_no_column_can_hold_are_kept_in_the_leaf(self, world: World) -> None:
        """NUL, tiny and huge numbers, SQL and unknown fields are data like any other."""
        hostile = "\0'; DROP TABLE audit_log; --"
        strange = event(
            "identity.login.failed.v1",
            data={"reason": hostile, "shoe_size": 2**70},
            subject=hostile,
            actor=hostile,
            ip="not an address",
            useragent=hostile,
        )

        await world.deliver(strange)

        (row,) = await world.log()
        assert json.loads(row.leaf_bytes)["data"] == {"reason": hostile}
        bodies = [json.loads(share.body) for share in await world.personal()]
        assert {"actor": hostile, "ip": "not an address", "useragent": hostile} in bodies
        assert any(body.get("data", {}).get("shoe_size") == 2**70 for body in bodies)

    async def test_an_unknown_type_is_personal_as_a_whole(self, world: World) -> None:
        """A type this version does not know is recorded, and none of its data is in the leaf."""
        known = event("identity.user.enabled.v1", data={"secretive": "yes"})
        unknown = json.loads(known.to_json()) | {"type": "identity.passkey.failed.v9"}

        await world.deliver_bodies((unknown["type"], json.dumps(unknown).encode()))

        (row,) = await world.log()
        assert (row.type, row.outcome) == ("identity.passkey.failed.v9", "failure")
        assert json.loads(row.leaf_bytes)["data"] == {}
        assert world.sample("gatehouse_audit_rows_total", type="unknown") == 1


class TestErasing:
    """A person's account was deleted."""

    async def test_personal_records_go_and_the_log_stays(self, world: World) -> None:
        """Leaves are byte for byte what they were; nothing of the person is left anywhere."""
        person, other = user_id(), user_id()
        hers = [
            event("identity.user.registered.v1", data={"user_id": person}, actor=person),
            event("token.session.started.v1", data={"user_id": person}),
        ]
        theirs = event("identity.login.succeeded.v1", data={"user_id": other})
        await world.deliver(*hers, theirs)
        before = {row.event_id: row.leaf_bytes for row in await world.log()}

        deletion = event(USER_DELETED, data={"user_id": person}, actor=person)
        await world.deliver(deletion)

        after = {row.event_id: row.leaf_bytes for row in await world.log()}
        assert after.items() >= before.items()
        assert {row.event_id for row in await world.personal()} == {theirs.id}
        assert not any(person.encode() in leaf for leaf in after.values())
        assert world.sample("gatehouse_audit_personal_records_erased_total") == 3

    async def test_commitments_of_others_still_verify(self, world: World) -> None:
        """Erasing one person touches no other's proof."""
        person, other = user_id(), user_id()
        await world.deliver(
            event("identity.login.succeeded.v1", data={"user_id": other}),
            event(USER_DELETED, data={"user_id": person}),
        )

        (kept,) = await world.personal()
        leaf = next(row.leaf_bytes for row in await world.log() if row.event_id == kept.event_id)
        commitment = json.loads(leaf)["pii_commit"][kept.party]
        assert verifies(commitment, salt=kept.salt, body=kept.body)

    async def test_who_deleted_somebody_stays_known(self, world: World) -> None:
        """The administrator's share of the deletion is the administrator's."""
        person, admin = user_id(), user_id()

        await world.deliver(event(USER_DELETED, data={"user_id": person}, actor=admin))

        (kept,) = await world.personal()
        assert (kept.party, kept.actor) == ("actor", admin)
        assert person.encode() not in kept.body

    async def test_what_comes_late_is_not_kept(self, world: World) -> None:
        """Events about somebody who is gone are rows without a personal record."""
        person = user_id()
        await world.deliver(event(USER_DELETED, data={"user_id": person}))

        late = event("token.session.ended.v1", data={"user_id": person})
        await world.deliver(late)

        assert late.id in {row.event_id for row in await world.log()}
        assert await world.personal() == []

    async def test_nothing_stays_among_the_dead_letters(self, world: World) -> None:
        """What could not be recorded of the person goes too, what is about others stays."""
        person, other = user_id(), user_id()
        await world.deliver_bodies(*(("x", b"junk " + who.encode()) for who in (person, other)))

        await world.deliver(event(USER_DELETED, data={"user_id": person}))

        assert [bytes(row.body) for row in await world.dead()] == [b"junk " + other.encode()]

    async def test_the_same_deletion_again_changes_nothing(self, world: World) -> None:
        """Erasing is idempotent."""
        person = user_id()
        for _ in range(2):
            await world.deliver(event(USER_DELETED, data={"user_id": person}))

        assert len(await world.log()) == 2
        assert await world.personal() == []

    async def test_a_deletion_that_names_nobody_erases_nobody(self, world: World) -> None:
        """A malformed deletion is recorded like anything else."""
        await world.deliver(event("identity.login.succeeded.v1"))

        await world.deliver(event(USER_DELETED, data={"user_id": "everybody"}))

        assert len(await world.personal()) == 2
