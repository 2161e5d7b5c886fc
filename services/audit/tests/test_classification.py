"""What is personal, whose it is, and who may read it."""

from uuid import UUID

import pytest

from contracts.registry import EVENT_TYPES
from services.audit.domain.classification import RULES, classify, deleted_person
from services.audit.domain.filters import may_read
from services.audit.tests.samples import event

PERSON = "5b0c3b1e-7a53-4e0b-9d6c-2f8a1b3c4d5e"
ADMIN = "9f1d2c3b-4a5e-4f60-8172-839405a6b7c8"


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


class TestReaders:
    """Who may read everybody's entries."""

    @pytest.mark.parametrize(
        ("roles", "allowed"),
        [({"admin"}, True), ({"moderator", "user"}, True), ({"user"}, False), (set(), False)],
    )
    def test_administrators_and_moderators(self, roles: set[str], *, allowed: bool) -> None:
        """And nobody else."""
        assert may_read(roles) is allowed
