"""What a leaf says, where pages begin, and what is missing."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts.envelope import CloudEvent
from services.audit.domain.filters import Cursor
from services.audit.domain.leaves import commitment, record, verifies
from services.audit.domain.sequences import Gap, gaps_between, remaining
from services.audit.tests.samples import event, user_id

PERSON = "5b0c3b1e-7a53-4e0b-9d6c-2f8a1b3c4d5e"
ADMIN = "9f1d2c3b-4a5e-4f60-8172-839405a6b7c8"


class TestLeaves:
    """The bytes that are proven for ever."""

    def test_golden_leaf(self) -> None:
        """These bytes never change: proofs of older rows depend on it."""
        happened = CloudEvent(
            id=UUID("0190a0b0-c0d0-7000-8000-000000000001"),
            source="identity",
            type="identity.user.registered.v1",
            time=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
            data={
                "user_id": PERSON,
                "email": "ada@example.com",
                "username": "ada",
                "roles": ["user"],
            },
            subject=PERSON,
            subjectversion=1,
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            producerseq="42",
            actor=PERSON,
            ip="203.0.113.7",
            useragent="Firefox",
        )

        made = record(
            happened,
            received_at=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
            new_salt=lambda: bytes(range(32)),
        )

        (share,) = made.personal
        assert share.body == (
            b'{"actor":"5b0c3b1e-7a53-4e0b-9d6c-2f8a1b3c4d5e","data":{"email":"ada@example.com",'
            b'"user_id":"5b0c3b1e-7a53-4e0b-9d6c-2f8a1b3c4d5e","username":"ada"},'
            b'"ip":"203.0.113.7","subject":"5b0c3b1e-7a53-4e0b-9d6c-2f8a1b3c4d5e",'
            b'"useragent":"Firefox"}'
        )
        assert made.leaf_bytes == (
            b'{"data":{"roles":["user"]},"event_id":"0190a0b0-c0d0-7000-8000-000000000001",'
            b'"occurred_at":"2026-01-02T03:04:05.000678Z","outcome":"success",'
            b'"pii_commit":{"subject":'
            b'"7782cfee7d70a2ba9c1b8060ec226f1b74a1c48d87f53e7eb1cccb13ab8e08a5"},'
            b'"producerseq":"42","received_at":"2026-01-02T03:04:06.000000Z","source":"identity",'
            b'"subject":null,"subjectversion":1,'
            b'"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",'
            b'"type":"identity.user.registered.v1"}'
        )

    def test_a_commitment_needs_its_salt(self) -> None:
        """Without the salt nobody can even guess what was committed to."""
        made = commitment(b"a" * 32, b"{}")

        assert verifies(made, salt=b"a" * 32, body=b"{}")
        assert not verifies(made, salt=b"b" * 32, body=b"{}")

    @pytest.mark.parametrize(
        ("wire", "number"),
        [("7", 7), (str(2**63 - 1), 2**63 - 1), (str(2**63), None), ("-1", None), ("\u0667", None)],
    )
    def test_only_decimal_digits_number_an_event(self, wire: str, number: int | None) -> None:
        """What is no number stays in the leaf as it came."""
        happened = event("identity.user.enabled.v1", producerseq=wire)

        made = record(happened, received_at=happened.time, new_salt=lambda: b"")

        assert made.producerseq == number
        assert json.loads(made.leaf_bytes)["producerseq"] == wire

    @pytest.mark.parametrize(
        ("address", "column"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:DB8::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
        ],
    )
    def test_addresses_are_searchable_in_one_form(self, address: str, column: str) -> None:
        """A query finds an address however it was written."""
        happened = event("identity.user.enabled.v1", ip=address)

        made = record(happened, received_at=happened.time, new_salt=lambda: b"")

        assert made.personal[0].ip == column


class TestCursor:
    """Where the next page begins."""

    @pytest.mark.parametrize("microsecond", [0, 1, 999_999])
    def test_survives_the_way_out_and_back(self, microsecond: int) -> None:
        """To the microsecond: rounding would repeat or skip rows."""
        moment = datetime(2026, 11, 22, 23, 59, 59, microsecond, tzinfo=UTC)
        cursor = Cursor(moment, UUID(user_id()))

        assert Cursor.decode(cursor.encode()) == cursor


class TestGaps:
    """Numbers that never arrived."""

    def test_are_what_is_between(self) -> None:
        """From where we were up to the last number seen."""
        assert gaps_between(2, [3, 6, 7, 9]) == [Gap(4, 5), Gap(8, 8)]

    def test_doubles_make_no_gap(self) -> None:
        """A number seen twice is one number."""
        assert gaps_between(0, [1, 1, 2, 2]) == []

    def test_close_from_within(self) -> None:
        """Late arrivals leave the rest."""
        assert remaining(Gap(4, 9), [6, 7]) == [Gap(4, 5), Gap(8, 9)]
        assert remaining(Gap(4, 5), [4, 5]) == []
