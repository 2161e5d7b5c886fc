"""What audit decides: canonical bytes, what is personal, what a leaf says."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from contracts.envelope import CloudEvent
from contracts.registry import EVENT_TYPES
from services.audit.domain.canonical import NotCanonicalError, canonical_json
from services.audit.domain.classification import RULES, classify, deleted_person
from services.audit.domain.filters import Cursor, may_read
from services.audit.domain.leaves import commitment, record, verifies
from services.audit.domain.sequences import Gap, gaps_between, remaining
from services.audit.tests.samples import event, user_id

PERSON = "5b0c3b1e-7a53-4e0b-9d6c-2f8a1b3c4d5e"
ADMIN = "9f1d2c3b-4a5e-4f60-8172-839405a6b7c8"


class TestCanonicalJson:
    """RFC 8785."""

    def test_example_of_the_rfc(self) -> None:
        """Appendix: §3.2.2 in, §3.2.4 out."""
        document = json.loads(
            r"""{
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }"""
        )

        assert (
            canonical_json(document)
            == (
                '{"literals":[null,true,false],'
                '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
            ).encode()
        )

    def test_names_are_ordered_by_utf16(self) -> None:
        """§3.2.3: an emoji stands before a letter from the end of the basic plane."""
        names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]

        ordered = list(json.loads(canonical_json(dict.fromkeys(names, 0))))

        assert ordered == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]

    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (9007199254740992.0, "9007199254740992"),
            (295147905179352830000.0, "295147905179352830000"),
            (1e21, "1e+21"),
            (999999999999999900000.0, "999999999999999900000"),
            (0.000001, "0.000001"),
            (9.999999999999997e-7, "9.999999999999997e-7"),
            (333333333.3333332, "333333333.3333332"),
            (2**70, "1180591620717411303424"),
        ],
    )
    def test_numbers_are_written_as_ecmascript_writes_them(self, number: float, text: str) -> None:
        """Appendix B, and integers exactly."""
        assert canonical_json(number) == text.encode()

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, {1, 2}, b"bytes"]
    )
    def test_what_has_no_form_is_refused(self, value: object) -> None:
        """Rather no leaf than an ambiguous one."""
        with pytest.raises(NotCanonicalError):
            canonical_json(value)

    def test_bottomless_nesting_is_refused(self) -> None:
        """It must not take the process down."""
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]

        with pytest.raises(NotCanonicalError):
            canonical_json(value)


class TestClassification:
    """What is personal, and whose."""

    @pytest.mark.parametrize("type_", EVENT_TYPES)
    def test_every_field_of_the_contracts_is_classified(self, type_: str) -> None:
        """A new field makes somebody decide; until then it is personal."""
        rule = RULES[type_]

        assert sorted(rule.plain + rule.personal) == sorted(EVENT_TYPES[type_].model_fields)

    def test_a_field_nobody_classified_is_personal(self) -> None:
        """A newer producer's field never slips into a leaf."""
        classified = classify(event("identity.user.enabled.v1", data={"nickname": "Ada"}))

        assert classified.data == {}
        assert classified.shares[0].personal["data"]["nickname"] == "Ada"

    def test_own_doings_are_one_share(self) -> None:
        """Who changes the own password is one person, not two."""
        happened = event("identity.password.changed.v1", data={"user_id": PERSON}, actor=PERSON)

        (share,) = classify(happened).shares

        assert (share.party, share.person_id) == ("subject", UUID(PERSON))
        assert share.personal["ip"] == "203.0.113.7"

    def test_an_administrators_origin_is_the_administrators(self) -> None:
        """The subject's share does not hold the administrator's address."""
        happened = event("identity.user.disabled.v1", data={"user_id": PERSON}, actor=ADMIN)

        subject, actor = classify(happened).shares

        assert (subject.person_id, actor.person_id) == (UUID(PERSON), UUID(ADMIN))
        assert actor.personal == {"actor": ADMIN, "ip": "203.0.113.7", "useragent": "Firefox"}
        assert set(subject.personal) == {"subject", "data"}

    def test_a_revoked_subject_is_a_person(self) -> None:
        """`kind: sub` names a user where `jti` and `sid` do not (D12)."""
        revoked = event("token.token.revoked.v1", data={"kind": "sub", "value": PERSON})

        (share,) = classify(revoked).shares

        assert share.person_id == UUID(PERSON)

    def test_a_key_is_no_person(self) -> None:
        """A subject that repeats a plain field may stand in the leaf."""
        rotated = event("token.signing_key.rotated.v1", data={"kid": "key-1"}, subject="key-1")

        assert classify(rotated).subject == "key-1"

    def test_nobody_leaves_no_share(self) -> None:
        """Without personal data there is nothing to commit to."""
        signed = event(
            "audit.checkpoint.signed.v1", subject=None, ip=None, useragent=None, actor=None
        )

        assert classify(signed).shares == ()

    @pytest.mark.parametrize(
        ("type_", "person"),
        [("identity.user.deleted.v1", UUID(PERSON)), ("identity.user.disabled.v1", None)],
    )
    def test_only_a_deletion_erases(self, type_: str, person: UUID | None) -> None:
        """And it names whom."""
        assert deleted_person(event(type_, data={"user_id": PERSON})) == person


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


class TestReaders:
    """Who may read everybody's entries."""

    @pytest.mark.parametrize(
        ("roles", "allowed"),
        [({"admin"}, True), ({"moderator", "user"}, True), ({"user"}, False), (set(), False)],
    )
    def test_administrators_and_moderators(self, roles: set[str], *, allowed: bool) -> None:
        """And nobody else."""
        assert may_read(roles) is allowed


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
