"""The deny list and the cache of verified tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.jwt import AccessToken
from chassis.testing import FixedClock
from contracts.internal import Revocation
from gateway.denylist import DenyList
from gateway.errors import TokenRevoked, TokenStale
from gateway.tokens import VerifiedTokens, digest_of

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUB, SID = UUID(int=1), UUID(int=2)


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock(START)


class TestDenyList:
    """Which tokens are dead before their time."""

    def test_lets_pass_what_nobody_denied(self, clock: FixedClock) -> None:
        """An empty list denies nothing."""
        assert DenyList(clock).refusal(token()) is None

    @pytest.mark.parametrize(("kind", "value"), [("jti", "j1"), ("sid", str(SID))])
    def test_denies_a_token_and_a_session(self, clock: FixedClock, kind: str, value: str) -> None:
        """Only the one that was named."""
        denied = DenyList(clock)
        denied.add(entry(kind, value))
        assert isinstance(denied.refusal(token()), TokenRevoked)
        assert denied.refusal(token(jti="other", sid=str(uuid4()))) is None

    def test_denies_older_versions_of_a_subject(self, clock: FixedClock) -> None:
        """A refreshed token lives, whatever the older ones do."""
        denied = DenyList(clock)
        denied.add(entry("sub", str(SUB), below=3))
        assert isinstance(denied.refusal(token(ver=2)), TokenStale)
        assert denied.refusal(token(ver=3)) is None

    def test_never_goes_back_to_an_older_version(self, clock: FixedClock) -> None:
        """Entries come in any order, and more than once."""
        denied = DenyList(clock)
        for below in (3, 5, 4):
            denied.add(entry("sub", str(SUB), below=below))
        assert isinstance(denied.refusal(token(ver=4)), TokenStale)

    def test_denies_every_version_when_none_is_named(self, clock: FixedClock) -> None:
        """In doubt it refuses."""
        denied = DenyList(clock)
        denied.add(entry("sub", str(SUB)))
        assert isinstance(denied.refusal(token(ver=999)), TokenStale)

    def test_forgets_an_entry_when_its_tokens_have_run_out(self, clock: FixedClock) -> None:
        """The list does not grow for ever."""
        denied = DenyList(clock)
        for kind, value in (("jti", "j1"), ("sid", str(SID)), ("sub", str(SUB))):
            denied.add(entry(kind, value, minutes=16, below=9))
        clock.advance(timedelta(minutes=16))
        assert denied.refusal(token()) is None
        assert len(denied) == 0

    def test_says_whether_an_entry_was_new(self, clock: FixedClock) -> None:
        """Polling tells the same again and again."""
        denied = DenyList(clock)
        assert [denied.add(entry("sid", str(SID))) for _ in range(2)] == [True, False]
        assert not denied.add(entry("sid", str(uuid4()), minutes=-1))


class TestVerifiedTokens:
    """The cache."""

    def test_remembers_until_the_token_runs_out(self, clock: FixedClock) -> None:
        """The leeway counts, as it does in the verifier."""
        tokens = VerifiedTokens(clock)
        tokens.add(digest_of("text"), token())
        clock.advance(timedelta(minutes=15, seconds=29))
        assert tokens.find(digest_of("text")) is not None
        clock.advance(timedelta(seconds=1))
        assert tokens.find(digest_of("text")) is None
        assert len(tokens) == 0

    @pytest.mark.parametrize(
        ("kind", "value"), [("kid", "k1"), ("sid", str(SID)), ("sub", str(SUB)), ("jti", "j1")]
    )
    def test_drops_by_whatever_can_end_a_token(
        self, clock: FixedClock, kind: str, value: str
    ) -> None:
        """Others stay."""
        tokens = VerifiedTokens(clock)
        tokens.add(digest_of("mine"), token())
        tokens.add(
            digest_of("other"), token(jti="j2", sid=str(uuid4()), sub=str(uuid4()), kid="k2")
        )
        tokens.drop(kind, value)
        assert tokens.find(digest_of("mine")) is None
        assert tokens.find(digest_of("other")) is not None

    def test_is_bounded(self, clock: FixedClock) -> None:
        """The oldest goes, with its index entries."""
        tokens = VerifiedTokens(clock, max_tokens=2)
        for number in range(5):
            tokens.add(digest_of(f"text {number}"), token(jti=f"j{number}", sid=str(uuid4())))
        assert len(tokens) == 2
        assert tokens.find(digest_of("text 0")) is None
        assert len(tokens._by_sid) == len(tokens._by_jti) == 2

    def test_makes_room_for_some_at_once(self, clock: FixedClock) -> None:
        """Never more than the bound, never much less, and always the newest."""
        tokens = VerifiedTokens(clock, max_tokens=128)
        known = list[int]()
        for number in range(600):
            tokens.add(digest_of(f"text {number}"), token(jti=f"j{number}", sid=str(uuid4())))
            known.append(len(tokens))
        assert max(known) == 128
        assert min(known[127:]) == 126
        assert all(tokens.find(digest_of(f"text {number}")) for number in range(475, 600))

    def test_drops_every_token_of_a_session(self, clock: FixedClock) -> None:
        """Several were issued to it, and one of them has gone before."""
        tokens = VerifiedTokens(clock, max_tokens=3)
        for number in range(4):
            tokens.add(digest_of(f"text {number}"), token(jti=f"j{number}"))
        tokens.drop("sid", str(SID))
        assert len(tokens) == len(tokens._by_sid) == len(tokens._by_jti) == 0

    def test_drops_nothing_by_a_name_that_nobody_has(self, clock: FixedClock) -> None:
        """What stands in a deny list was written elsewhere: it may be anything."""
        tokens = VerifiedTokens(clock)
        tokens.add(digest_of("text"), token())
        for kind in ("kid", "sid", "sub", "jti"):
            tokens.drop(kind, "no such name")
        assert tokens.find(digest_of("text")) is not None


def entry(kind: str, value: str, *, minutes: int = 17, below: int | None = None) -> Revocation:
    """Return an entry that holds for some minutes."""
    return Revocation.model_validate(
        {
            "kind": kind,
            "value": value,
            "below_version": below,
            "revoked_until": START + timedelta(minutes=minutes),
        }
    )


def token(**claims: Any) -> AccessToken:
    """Return a verified token."""
    values: dict[str, Any] = {
        "sub": str(SUB),
        "sid": str(SID),
        "jti": "j1",
        "iat": START,
        "exp": START + timedelta(minutes=15),
        "auth_time": START,
        "amr": ("pwd",),
        "roles": frozenset({"user"}),
        "scope": "",
        "ver": 1,
        "kid": "k1",
    }
    return AccessToken(**(values | claims))
