"""How soon a token is dead at the gateway, and how soon a new key verifies."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.bus import Binding, BusSubscription, EventCallback, Message
from chassis.inprocess import InProcessBus
from chassis.testing import eventually
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent, EventData
from contracts.token import SessionEnded, SigningKeyRotated, TokenRevoked
from gateway.revocations import POLL_EVERY
from gateway.tests.signing import SigningKey, Subject
from gateway.tests.upstreams import TokenService
from gateway.tests.world import World, is_ready
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

ME = "/api/v1/users/me"


class Queueless(InProcessBus):
    """A bus whose queue for revocations is bound and lost when a test says so."""

    on_bound: Callable[[], None]
    on_lost: Callable[[], None]

    async def subscribe_ephemeral(
        self,
        bindings: Sequence[Binding],
        callback: EventCallback,
        *,
        on_bound: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> BusSubscription:
        """Take the callbacks, and call neither."""
        if on_bound and on_lost:
            self.on_bound, self.on_lost = on_bound, on_lost
        return await super().subscribe_ephemeral(bindings, callback)


class TestPoll:
    """What the poll alone makes true."""

    @pytest.mark.parametrize(
        ("kind", "code"),
        [("sid", "token_revoked"), ("jti", "token_revoked"), ("sub", "token_stale")],
    )
    async def test_refuses_a_revoked_token_after_the_next_poll(
        self, world: World, kind: str, code: str
    ) -> None:
        """Half a second between polls; a poll that began after the fact knows it."""
        ann = Subject()
        headers = world.bearer(ann, jti="j1")
        value = {"sid": str(ann.sid), "jti": "j1", "sub": ann.id}[kind]
        before = await world.ask("GET", ME, headers=headers)
        world.token.revoke(kind, value, soon(), below=2)
        await polled(world, times=2)
        after = await world.ask("GET", ME, headers=headers)
        assert timedelta(milliseconds=500) == POLL_EVERY
        assert before.status == 200
        assert (after.status, after.document["code"]) == (401, code)

    @pytest.mark.parametrize("kind", ["sid", "jti", "sub"])
    async def test_leaves_nobody_where_a_token_is_optional(self, world: World, kind: str) -> None:
        """A product learns no name from a token that is dead; logout alone still does."""
        ann = Subject()
        headers = world.bearer(ann, jti="j1")
        value = {"sid": str(ann.sid), "jti": "j1", "sub": ann.id}[kind]
        await world.ask("GET", "/maybe/x", headers=headers)
        world.token.revoke(kind, value, soon(), below=2)
        await polled(world, times=2)
        await world.ask("GET", "/maybe/x", headers=headers)
        await world.ask("POST", "/api/v1/auth/logout", headers=headers)
        assert [seen.header("x-auth-subject") for seen in world.shop.seen] == [ann.id, None]
        assertion = world.token.seen[-1].assertion
        assert assertion is not None
        assert assertion.principal is not None

    async def test_lets_the_refreshed_token_of_a_changed_subject_pass(self, world: World) -> None:
        """Only older versions are stale."""
        sub = uuid4()
        world.token.revoke("sub", str(sub), soon(), below=2)
        await polled(world, times=2)
        answer = await world.ask("GET", ME, headers=world.bearer(Subject(sub=sub, ver=2)))
        assert answer.status == 200

    async def test_reads_every_page_before_it_is_ready(self, tmp_path: Path) -> None:
        """A gateway that starts anew knows what was revoked before."""
        token, ended = TokenService(), [Subject() for _ in range(9)]
        for subject in ended:
            token.revoke("sid", str(subject.sid), soon())
        async with start_world(tmp_path, token=token) as world:
            answers = [await world.ask("GET", ME, headers=world.bearer(s)) for s in ended]
        assert [answer.status for answer in answers] == [401] * 9

    async def test_goes_on_with_what_it_knows_while_token_is_away(self, world: World) -> None:
        """Verified and denied tokens stay what they are."""
        ann, ben = Subject(), Subject()
        world.token.revoke("sid", str(ben.sid), soon())
        await polled(world, times=2)
        world.token.away = True
        await polled(world, times=3)
        answers = [await world.ask("GET", ME, headers=world.bearer(s)) for s in (ann, ben)]
        assert [answer.status for answer in answers] == [200, 401]
        assert await is_ready(world.gateway)


class TestReadiness:
    """When a new gateway takes requests."""

    async def test_waits_for_keys_and_revocations(self, tmp_path: Path) -> None:
        """Until then users get 503, and strangers are served."""
        async with start_world(tmp_path, wait_ready=False, token_url="http://127.0.0.1:1") as world:
            failing = await world.gateway.health.failing()
            answer = await world.ask("GET", ME, headers=world.bearer(Subject()))
            public = await world.ask("GET", "/api/v1/auth/password-policy")
        assert failing == ["keys", "revocations"]
        assert (answer.status, answer.document["code"]) == (503, "keys_unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert public.status == 200

    async def test_waits_for_the_queue_of_events_once(self, tmp_path: Path) -> None:
        """A broker that goes away later makes nobody unready: the poll goes on."""
        bus = Queueless()
        async with start_world(tmp_path, wait_ready=False, bus=bus) as world:
            health = world.gateway.health

            async def all_else_is_there() -> bool:
                return await health.failing() == ["events"]

            await eventually(all_else_is_there)
            bus.on_bound()
            bound = await health.failing()
            bus.on_lost()
            lost = await health.failing()
        assert (bound, lost) == ([], [])


class TestEvents:
    """What events make faster."""

    async def test_end_a_session_at_once(self, tmp_path: Path) -> None:
        """Without any poll in between: token answers none."""
        bus, ann, ben = InProcessBus(), Subject(), Subject()
        async with start_world(tmp_path, bus=bus) as world:
            headers = world.bearer(ann), world.bearer(ben, jti="j2")
            alive = [await world.ask("GET", ME, headers=h) for h in headers]
            world.token.away = True
            ended = SessionEnded(
                user_id=ann.sub, session_id=ann.sid, reason="logout", revoked_until=soon()
            )
            revoked = TokenRevoked(kind="jti", value="j2", revoked_until=soon())
            await publish(bus, ended, revoked)

            async def both_dead() -> bool:
                answers = [await world.ask("GET", ME, headers=h) for h in headers]
                return [answer.status for answer in answers] == [401, 401]

            await eventually(both_dead)
        assert [answer.status for answer in alive] == [200, 200]

    async def test_bring_a_rotated_key(self, tmp_path: Path) -> None:
        """The key set is fetched before anybody asks with the new key."""
        bus = InProcessBus()
        async with start_world(tmp_path, bus=bus) as world:
            fetched = world.token.jwks_fetched
            await publish(bus, SigningKeyRotated(kid="second", previous_kid="first"))
            await eventually(lambda: world.token.jwks_fetched > fetched, within=3)

    async def test_that_make_no_sense_harm_nobody(self, tmp_path: Path) -> None:
        """The next one is taken as if nothing had been."""
        bus, ann = InProcessBus(), Subject()
        async with start_world(tmp_path, bus=bus) as world:
            headers = world.bearer(ann)
            await publish(bus, SigningKeyRotated(kid="x", previous_kid=None), broken=True)
            await publish(
                bus,
                SessionEnded(
                    user_id=ann.sub, session_id=ann.sid, reason="admin", revoked_until=soon()
                ),
            )

            async def dead() -> bool:
                return (await world.ask("GET", ME, headers=headers)).status == 401

            await eventually(dead)


class TestKeys:
    """Rotation of signing keys."""

    async def test_a_new_key_verifies_without_waiting_for_the_poll(self, world: World) -> None:
        """An unknown `kid` fetches the key set."""
        world.token.keys.append(SigningKey("second"))
        answer = await world.ask("GET", ME, headers=world.bearer(Subject()))
        assert answer.status == 200

    async def test_unknown_keys_do_not_make_a_storm(self, world: World) -> None:
        """A hundred tokens of a stranger's key cost token one fetch."""
        world.token.keys.append(SigningKey("stranger"))
        strangers = world.bearer(Subject())
        world.token.keys.pop()
        fetched = world.token.jwks_fetched
        answers = [await world.ask("GET", ME, headers=strangers) for _ in range(100)]
        assert {answer.document["code"] for answer in answers} == {"invalid_token"}
        assert world.token.jwks_fetched - fetched <= 2  # the refetch, and at most one poll

    async def test_a_removed_key_kills_its_tokens(self, tmp_path: Path) -> None:
        """Also those that were verified before."""
        bus = InProcessBus()
        async with start_world(tmp_path, bus=bus) as world:
            headers = world.bearer(Subject())
            before = await world.ask("GET", ME, headers=headers)
            world.token.keys[:] = [SigningKey("second")]
            await publish(bus, SigningKeyRotated(kid="second", previous_kid="first"))

            async def dead() -> bool:
                return (await world.ask("GET", ME, headers=headers)).status == 401

            await eventually(dead)
        assert before.status == 200


async def polled(world: World, *, times: int) -> None:
    """Wait until the gateway has asked token *times* times more."""
    until = world.token.polled + times
    await eventually(lambda: world.token.polled > until)


async def publish(bus: InProcessBus, *facts: EventData, broken: bool = False) -> None:
    """Publish events as token's relay does."""
    bus.open()
    for fact in facts:
        event = CloudEvent(
            id=uuid4(),
            source="token",
            type=fact.type,
            time=datetime.now(UTC),  # noqa: TID251 - as a publisher would
            data={} if broken else fact.model_dump(mode="json"),
        )
        body = b"{}" if broken else event.to_json()
        message = Message(id=event.id, exchange=EVENTS_EXCHANGE, routing_key=fact.type, body=body)
        await bus.publish([message])


def soon() -> datetime:
    """Return a time some minutes ahead of the gateway's real clock."""
    return datetime.now(UTC) + timedelta(minutes=17)  # noqa: TID251 - the gateway's real clock
