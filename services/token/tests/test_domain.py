"""The rules of token, as tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.internal import SubjectStatus
from services.token.domain.keys import KeyLife, RotationPolicy, plan_rotation
from services.token.domain.refresh import Decision, RefreshToken, decide
from services.token.domain.revocations import Cursor, revoked_until
from services.token.domain.sessions import Lifetimes, Session, device_name, surplus
from services.token.domain.subjects import Snapshot, Subject, SubjectChange

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
USER = UUID("0190f3a0-0000-7000-8000-000000000001")
OWNER, STRANGER = b"owner", b"stranger"


class TestDecide:
    """What presenting a refresh token means."""

    @pytest.mark.parametrize(
        ("expires_in", "spent_ago", "predecessor", "client", "decision"),
        [
            (DAY, None, False, OWNER, Decision.ROTATE),
            (DAY, None, False, STRANGER, Decision.ROTATE),
            (timedelta(microseconds=1), None, False, OWNER, Decision.ROTATE),
            (timedelta(), None, False, OWNER, Decision.EXPIRED),
            (-DAY, SECOND, True, OWNER, Decision.EXPIRED),
            (DAY, timedelta(), True, OWNER, Decision.REPEAT),
            (DAY, 10 * SECOND, True, OWNER, Decision.REPEAT),
            (DAY, -2 * SECOND, True, OWNER, Decision.REPEAT),  # another replica's clock is ahead
            (DAY, 10 * SECOND + timedelta(microseconds=1), True, OWNER, Decision.REUSED),
            (DAY, SECOND, False, OWNER, Decision.REUSED),
            (DAY, SECOND, True, STRANGER, Decision.REUSED),
            (DAY, DAY, False, STRANGER, Decision.REUSED),
        ],
    )
    def test_table(
        self,
        expires_in: timedelta,
        spent_ago: timedelta | None,
        *,
        predecessor: bool,
        client: bytes,
        decision: Decision,
    ) -> None:
        """Unspent rotates, the predecessor of the newest repeats, everything else is theft."""
        token = RefreshToken(
            hash=b"h",
            session_id=uuid4(),
            generation=1,
            expires_at=NOW + expires_in,
            spent_at=None if spent_ago is None else NOW - spent_ago,
            spent_by=None if spent_ago is None else OWNER,
            sealed_successor="box" if predecessor else None,
        )

        assert decide(token, now=NOW, client=client, grace=10 * SECOND) is decision

    @pytest.mark.parametrize("spent_ago", [-SECOND, timedelta(), SECOND])
    def test_without_a_grace_nothing_is_repeated(self, spent_ago: timedelta) -> None:
        """Whoever began before the other was done has the later time in the row."""
        token = RefreshToken(
            hash=b"h",
            session_id=uuid4(),
            generation=1,
            expires_at=NOW + DAY,
            spent_at=NOW - spent_ago,
            spent_by=OWNER,
            sealed_successor="box",
        )

        assert decide(token, now=NOW, client=OWNER, grace=timedelta()) is Decision.REUSED


class TestSubject:
    """Subjects move only upwards."""

    CHANGES = (
        SubjectChange(user_id=USER, version=2, roles=frozenset({"moderator"})),
        SubjectChange(user_id=USER, version=3, ends_sessions="password_reset"),
        SubjectChange(user_id=USER, version=4, status="disabled", ends_sessions="user_disabled"),
        SubjectChange(user_id=USER, version=6, roles=frozenset({"admin"})),
    )

    def test_the_order_of_events_changes_nothing(self) -> None:
        """Every permutation, and every event twice, ends in the same subject."""
        results = set()
        for order in permutations(self.CHANGES):
            subject = Subject(user_id=USER)
            for change in (*order, *order):
                subject = subject.changed(change)
            results.add(subject)

        (result,) = results
        assert (result.roles, result.roles_version) == (frozenset({"admin"}), 6)
        assert (result.status, result.status_version) == ("disabled", 4)
        assert result.sessions_valid_from == 4

    @given(st.permutations(range(1, 8)))
    def test_answers_of_identity_in_any_order(self, versions: list[int]) -> None:
        """The newest answer stays."""
        subject = Subject(user_id=USER)
        for version in versions:
            snapshot = Snapshot(
                user_id=USER, roles=frozenset({str(version)}), status="active", version=version
            )
            subject = subject.confirmed(snapshot, now=NOW)

        assert (subject.roles, subject.roles_version) == (frozenset({"7"}), 7)

    def test_an_outdated_answer_confirms_nothing(self) -> None:
        """It does not make old knowledge fresh again."""
        subject = Subject(user_id=USER, roles_version=5)
        old = Snapshot(user_id=USER, roles=frozenset(), status="active", version=4)

        assert subject.confirmed(old, now=NOW).age(NOW) == timedelta.max

    def test_nobody_comes_back_from_being_deleted(self) -> None:
        """Not even with a higher version."""
        subject = Subject(user_id=USER, status="deleted", status_version=3)
        alive = Snapshot(user_id=USER, roles=frozenset(), status="active", version=9)

        assert subject.confirmed(alive, now=NOW).status == "deleted"

    @pytest.mark.parametrize(
        ("status", "version", "permitted"),
        [
            ("active", 5, True),
            ("active", 4, False),
            ("locked", 5, True),
            ("unverified", 5, True),
            ("disabled", 9, False),
            ("deleted", 9, False),
        ],
    )
    def test_permits(self, status: SubjectStatus, version: int, *, permitted: bool) -> None:
        """A session lives by its version, and never for a barred user; a lock alone is none."""
        subject = Subject(user_id=USER, sessions_valid_from=5)
        change = SubjectChange(user_id=USER, version=5, status=status)

        assert subject.changed(change).permits(version) is permitted


def session(minute: int) -> Session:
    """Return a session made *minute* minutes after noon."""
    moment = NOW + timedelta(minutes=minute)
    return Session(
        id=uuid4(),
        user_id=USER,
        subject_version=1,
        amr=("pwd",),
        scope="",
        authenticated_at=moment,
        created_at=moment,
        last_used_at=moment,
        expires_at=moment + 7 * DAY,
        absolute_expires_at=moment + 30 * DAY,
    )


class TestSessions:
    """Limits, lives and names."""

    @pytest.mark.parametrize(
        ("limit", "ended"), [(0, 0), (1, 4), (2, 3), (3, 2), (4, 1), (5, 0), (9, 0)]
    )
    def test_the_oldest_make_room_for_one_more(self, limit: int, ended: int) -> None:
        """With the new one there are never more than the limit."""
        live = [session(minute) for minute in (2, 0, 3, 1)]

        over = surplus(live, limit=limit)

        oldest = sorted(live, key=lambda one: one.created_at)[:ended]
        assert sorted(over, key=lambda one: one.created_at) == oldest

    def test_lives_end_with_the_session(self) -> None:
        """Neither token outlives the absolute life."""
        lives = Lifetimes(access=timedelta(minutes=15), idle=7 * DAY, absolute=30 * DAY)

        assert lives.access_end(NOW, NOW + DAY) == NOW + timedelta(minutes=15)
        assert lives.access_end(NOW, NOW + SECOND) == NOW + SECOND
        assert lives.idle_end(NOW, NOW + 30 * DAY) == NOW + 7 * DAY
        assert lives.idle_end(NOW, NOW + DAY) == NOW + DAY

    @pytest.mark.parametrize(
        ("user_agent", "name"),
        [
            (None, None),
            ("", None),
            ("curl/8.5.0", "curl"),
            ("python-httpx/0.28.1", "python-httpx"),
            ("MyApp/1.0 (iPhone; iOS 19.1)", "MyApp on iPhone"),
            ("???", None),
            (
                (
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML,"
                    " like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"
                ),
                "Edge on Windows",
            ),
            (
                (
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML,"
                    " like Gecko) Version/18.1 Safari/605.1.15"
                ),
                "Safari on macOS",
            ),
            (
                (
                    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML,"
                    " like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"
                ),
                "Chrome on Android",
            ),
            ("A" * 500, "A" * 64),
        ],
    )
    def test_device_name(self, user_agent: str | None, name: str | None) -> None:
        """What a person would call it."""
        assert device_name(user_agent) == name


class TestCursor:
    """The gateway's bookmark in the deny list."""

    @pytest.mark.parametrize("cursor", [Cursor(NOW), Cursor(NOW, NOW + SECOND, 17)])
    def test_survives_the_wire(self, cursor: Cursor) -> None:
        """What is written is read back."""
        assert Cursor.parse(str(cursor)) == cursor

    @pytest.mark.parametrize(
        "text", ["", "x", "-1", "1.2", "1.2.3.4", "1" * 18, "\u0661", "1.", ".1.1", " 1", "1\n"]
    )
    def test_garbage_is_none(self, text: str) -> None:
        """A cursor of somebody else's making is refused."""
        assert Cursor.parse(text) is None

    def test_a_new_reading_goes_back_by_the_overlap(self) -> None:
        """A reading that goes on does not."""
        assert Cursor(NOW).after == (NOW - 60 * SECOND, 0)
        assert Cursor(NOW, NOW + SECOND, 17).after == (NOW + SECOND, 17)

    def test_entries_outlive_access_tokens(self) -> None:
        """By the leeway and a minute."""
        ttl = timedelta(minutes=15)

        assert revoked_until(NOW, ttl) == NOW + timedelta(minutes=16, seconds=30)


class TestKeyRotation:
    """The life of signing keys, with a clock."""

    POLICY = RotationPolicy(
        algorithm="ES256", rotate_after=30 * DAY, access_ttl=timedelta(minutes=15)
    )

    def _step(self, keys: dict[str, KeyLife], now: datetime, policy: RotationPolicy) -> None:
        plan = plan_rotation([*keys.values()], now=now, policy=policy)
        for kid in plan.drop:
            del keys[kid]
        if plan.create:
            kid = f"key-{now:%Y%m%d%H%M}"
            keys[kid] = KeyLife(
                kid=kid,
                algorithm=policy.algorithm,
                state=plan.create,
                published_at=now,
                activated_at=now if plan.create == "active" else None,
            )
        if plan.retire:
            keys[plan.retire] = self._moved(keys[plan.retire], "retired", now)
        if plan.activate:
            keys[plan.activate] = self._moved(keys[plan.activate], "active", now)

    def _moved(self, key: KeyLife, state: str, now: datetime) -> KeyLife:
        retired = state == "retired"
        return KeyLife(
            kid=key.kid,
            algorithm=key.algorithm,
            state="retired" if retired else "active",
            published_at=key.published_at,
            activated_at=key.activated_at if retired else now,
            retired_at=now if retired else None,
        )

    def test_ninety_days_unattended(self) -> None:
        """One key signs at any time, each is public well before and after it does."""
        keys: dict[str, KeyLife] = {}
        published: dict[str, datetime] = {}
        signed: list[str] = []
        for minute in range(91 * 24 * 60 // 5):
            now = NOW + timedelta(minutes=5 * minute)
            self._step(keys, now, self.POLICY)
            assert not plan_rotation([*keys.values()], now=now, policy=self.POLICY)
            (active,) = [key for key in keys.values() if key.state == "active"]
            for kid in keys:
                published.setdefault(kid, now)
            if active.kid not in signed:
                assert minute == 0 or now - published[active.kid] >= self.POLICY.publish_ahead
                signed.append(active.kid)
            if (
                len(signed) > 1
                and active.activated_at
                and now - active.activated_at <= 15 * 60 * SECOND
            ):
                assert signed[-2] in keys
            assert len(keys) <= 2

        assert len(signed) == 4

    def test_another_algorithm_takes_over_at_once_but_staged(self) -> None:
        """The setting was changed: the new key is published first, then signs."""
        keys: dict[str, KeyLife] = {}
        policy = RotationPolicy(
            algorithm="EdDSA", rotate_after=30 * DAY, access_ttl=timedelta(minutes=15)
        )
        self._step(keys, NOW, self.POLICY)
        self._step(keys, NOW + DAY, policy)
        early = [key.algorithm for key in keys.values() if key.state == "active"]
        self._step(keys, NOW + DAY + timedelta(minutes=15), policy)

        late = [key.algorithm for key in keys.values() if key.state == "active"]
        assert (early, late) == (["ES256"], ["EdDSA"])

    def test_a_published_key_of_a_given_up_algorithm_is_dropped(self) -> None:
        """The setting was changed back before it signed."""
        active = KeyLife(
            kid="a", algorithm="ES256", state="active", published_at=NOW, activated_at=NOW
        )
        other = KeyLife(kid="b", algorithm="EdDSA", state="published", published_at=NOW)
        later = NOW + self.POLICY.publish_ahead

        assert not plan_rotation([active, other], now=NOW, policy=self.POLICY)
        assert plan_rotation([active, other], now=later, policy=self.POLICY).drop == ("b",)

    def test_without_an_active_key_the_published_one_signs(self) -> None:
        """An emergency leaves no time to wait."""
        waiting = KeyLife(kid="b", algorithm="ES256", state="published", published_at=NOW)

        assert plan_rotation([waiting], now=NOW, policy=self.POLICY).activate == "b"

    def test_the_wait_follows_from_what_others_are_told(self) -> None:
        """Twice the age of a cached JWKS and a gateway's poll: no number of its own."""
        quick = replace(self.POLICY, jwks_max_age=5 * SECOND)

        assert self.POLICY.publish_ahead == timedelta(minutes=10, seconds=10)
        assert quick.publish_ahead == 20 * SECOND

    def test_a_key_that_was_asked_to_go_waits_for_its_successor_all_the_same(self) -> None:
        """Published at once, signing as soon as it is known; never later than the plan says."""
        asked = KeyLife(
            kid="a",
            algorithm="ES256",
            state="active",
            published_at=NOW,
            activated_at=NOW,
            due_at=NOW + DAY,
        )
        early, now = NOW + DAY - self.POLICY.publish_ahead, NOW + DAY
        waiting = KeyLife(kid="b", algorithm="ES256", state="published", published_at=now)
        known = now + self.POLICY.publish_ahead

        assert not plan_rotation([asked], now=early - SECOND, policy=self.POLICY)
        assert plan_rotation([asked], now=now, policy=self.POLICY).create == "published"
        assert not plan_rotation([asked, waiting], now=known - SECOND, policy=self.POLICY)
        assert plan_rotation([asked, waiting], now=known, policy=self.POLICY).activate == "b"
        assert self.POLICY.due_at(replace(asked, due_at=NOW + 90 * DAY)) == NOW + 30 * DAY
