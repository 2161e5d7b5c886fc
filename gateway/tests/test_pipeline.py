"""Asking Redis: all of one turn of the loop together, each for itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from chassis.logs import configure
from chassis.rates import Rate
from chassis.testing import eventually
from chassis.testing.certificates import serving_with, write_certificate
from gateway.limits.endpoint import Endpoint
from gateway.limits.limiter import AnswerUnusable, Decision, Demand, LimiterUnavailable
from gateway.limits.pipeline import Pipeline
from gateway.limits.redis import TIMEOUT, RedisLimiter
from gateway.limits.waiter import Awaited
from gateway.limits.wire import packed
from gateway.tests.relay import Relay, relaying
from gateway.tests.scripted import scripted

PATIENT = 20.0


@pytest.fixture
async def relay(redis_url: str) -> AsyncIterator[Relay]:
    """Give what stands in front of an empty Redis."""
    async with relaying(redis_url) as made:
        yield made


@pytest.fixture
async def limiter(relay: Relay) -> AsyncIterator[RedisLimiter]:
    """Give a limiter that has all the time there is."""
    made = RedisLimiter.from_url(relay.url, timeout=PATIENT)
    yield made
    await made.close()


async def many(limiter: RedisLimiter, number: int, *, key: str = "k") -> list[Decision]:
    """Ask for *number* decisions at once, each of a key of its own."""
    return await asyncio.gather(*(limiter.decide([demand(f"{key}{one}")]) for one in range(number)))


@pytest.mark.real
class TestTogether:
    """What is asked in one turn."""

    async def test_goes_out_in_one_piece_on_one_connection(
        self, limiter: RedisLimiter, relay: Relay
    ) -> None:
        """Fifty decisions are one write."""
        await many(limiter, 1)
        seen = len(relay.chunks)
        decisions = await many(limiter, 50)
        assert len(relay.chunks) == seen + 1
        assert relay.connections == 1
        assert all(decision.allowed for decision in decisions)

    async def test_gets_its_own_answers(self, limiter: RedisLimiter) -> None:
        """The order of the answers is that of the questions."""
        for number in range(4):
            await asyncio.gather(*(limiter.decide([demand("busy")]) for _ in range(number % 2)))
        answers = await asyncio.gather(
            *(limiter.decide([demand(key)]) for key in ("new", "busy", "newer", "busy"))
        )
        assert [answer.tightest.remaining for answer in answers] == [4, 2, 4, 1]

    async def test_waits_for_one_attempt_to_connect(
        self, limiter: RedisLimiter, relay: Relay
    ) -> None:
        """A hundred callers after a cut make one connection."""
        await many(limiter, 1)
        relay.cut()
        await eventually(lambda: limiter._pipeline._wire is None)
        decisions = await many(limiter, 100)
        assert len(decisions) == 100
        assert relay.connections == 2

    async def test_comes_with_the_script_when_redis_does_not_know_it(
        self, limiter: RedisLimiter, redis_url: str
    ) -> None:
        """Nobody notices, and nothing is counted twice."""
        async with Redis.from_url(redis_url) as redis:
            await redis.script_flush()
        answers = await asyncio.gather(*(limiter.decide([demand("one")]) for _ in range(3)))
        assert sorted(answer.tightest.remaining for answer in answers) == [2, 3, 4]


@pytest.mark.real
class TestAlone:
    """What concerns one of many."""

    async def test_a_bad_answer_fails_its_own_question(
        self, limiter: RedisLimiter, redis_url: str
    ) -> None:
        """A key that holds something else; who asks beside it is answered."""
        async with Redis.from_url(redis_url) as redis:
            await redis.lpush("gatehouse:limit:k1", "no number")
        answers = await asyncio.gather(
            *(limiter.decide([demand(f"k{one}")]) for one in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [Decision, AnswerUnusable, Decision]

    async def test_who_goes_away_before_the_turn_ends_is_not_charged(
        self, limiter: RedisLimiter
    ) -> None:
        """A cancelled question is not even sent."""
        await many(limiter, 1)
        gone = asyncio.ensure_future(limiter.decide([demand("gone")]))
        await asyncio.sleep(0)
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        assert (await limiter.decide([demand("gone")])).tightest.remaining == 4

    async def test_who_goes_away_harms_nobody(self, limiter: RedisLimiter, relay: Relay) -> None:
        """The answer of one who has gone away goes to nobody else."""
        await many(limiter, 1)
        relay.vanishing = True
        seen = len(relay.chunks)
        asked = [asyncio.ensure_future(limiter.decide([demand(f"k{n}")])) for n in range(6)]
        await eventually(lambda: len(relay.chunks) > seen)
        for one in asked[::2]:
            one.cancel()
        relay.vanishing = False
        for writer in relay._writers[1::2]:
            writer.write(relay.chunks[-1])
        answers = await asyncio.gather(*asked, return_exceptions=True)
        later = await many(limiter, 6)
        assert [type(answer) for answer in answers] == [asyncio.CancelledError, Decision] * 3
        assert [answer.tightest.remaining for answer in later] == [2, *[3] * 5]

    async def test_a_defect_of_one_harms_nobody(
        self, limiter: RedisLimiter, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Who cannot take his answer is told that, and others theirs."""
        configure(level="info", style="json")
        await many(limiter, 1)
        waiters = [Awaited[object](), Awaited[object]()]
        waiters[0].future = Crashing()
        for waiter in waiters:
            limiter._pipeline.ask(packed("PING"), waiter)
        assert await waiters[1].future == b"PONG"
        with pytest.raises(ZeroDivisionError):
            await waiters[0].future
        assert "limits.crashed" in capsys.readouterr().out


class Crashing(asyncio.Future[object]):
    """One with a defect."""

    def set_result(self, _result: object) -> None:
        """Fail."""
        raise ZeroDivisionError


class TestWithout:
    """No answer."""

    def test_has_less_than_a_tenth_of_a_second(self) -> None:
        """Memory decides within 100 ms: waiting, and one last look."""
        assert TIMEOUT < 0.1

    @pytest.mark.real
    async def test_all_who_wait_are_told_at_once(self, relay: Relay) -> None:
        """The first whose time is over takes the connection along, and those behind it."""
        limiter = RedisLimiter.from_url(relay.url)
        await eventually(lambda: connected(limiter))
        relay.vanishing = True
        answers = await asyncio.gather(
            *(limiter.decide([demand(f"k{one}")]) for one in range(20)), return_exceptions=True
        )
        assert {str(answer) for answer in answers} == {"TimeoutError"}
        assert limiter._pipeline._wire is None
        await limiter.close()

    @pytest.mark.real
    async def test_a_reset_is_told_to_all_who_wait(
        self, limiter: RedisLimiter, relay: Relay
    ) -> None:
        """Nobody waits for his time to be over."""
        await many(limiter, 1)
        relay.vanishing = True
        seen = len(relay.chunks)
        asked = asyncio.ensure_future(
            asyncio.gather(
                *(limiter.decide([demand(f"k{one}")]) for one in range(20)), return_exceptions=True
            )
        )
        await eventually(lambda: len(relay.chunks) > seen)
        relay.cut()
        assert {type(answer) for answer in await asked} == {LimiterUnavailable}

    async def test_what_is_not_redis_ends_the_connection(self) -> None:
        """An answer that nobody can read."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        limiter = RedisLimiter.from_url(f"redis://127.0.0.1:{port}", timeout=PATIENT)
        with pytest.raises(LimiterUnavailable, match="ProtocolError"):
            await limiter.decide([demand("k")])
        await limiter.close()
        server.close()
        await server.wait_closed()

    @pytest.mark.parametrize(
        "said",
        [
            *(b"$-1\r\n", b":1\r\n", b"+OK\r\n", b"*0\r\n", b"*1\r\n:7\r\n", b"*1\r\n*0\r\n"),
            *(b"*4\r\n:1\r\n$1\r\n1\r\n:0\r\n:1\r\n", b"*4\r\n:1\r\n:0\r\n$-1\r\n:1\r\n"),
            b"*4\r\n:1\r\n:0\r\n-ERR no\r\n:1\r\n",
        ],
    )
    async def test_an_answer_to_something_else_is_of_no_use(self, said: bytes) -> None:
        """Memory decides then; nobody meets a number that is none."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(said)
            await reader.read()

        async with scripted(answer) as url:
            limiter = RedisLimiter.from_url(url.replace("http", "redis"), timeout=PATIENT)
            try:
                with pytest.raises(AnswerUnusable):
                    await limiter.decide([demand("k")])
            finally:
                await limiter.close()

    async def test_the_script_is_sent_within_the_time_of_its_question(self) -> None:
        """A Redis that has not the script, and then says nothing."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"EVALSHA")
            writer.write(b"-NOSCRIPT No matching script.\r\n")
            await reader.readuntil(b"EVAL\r\n")
            await reader.read()

        async with scripted(answer) as url:
            limiter = RedisLimiter.from_url(url.replace("http", "redis"))
            with pytest.raises(LimiterUnavailable, match="TimeoutError"):
                await limiter.decide([demand("k")])
            assert limiter._pipeline._wire is not None  # its own time is over, not the question's
            await limiter.close()

    @pytest.mark.real
    async def test_a_wrong_password_is_told(self, redis_url: str) -> None:
        """Whatever it cannot do, it says by the one error."""
        url = redis_url.replace("redis://", "redis://nobody:wrong@")
        limiter = RedisLimiter.from_url(url, timeout=PATIENT)
        with pytest.raises(LimiterUnavailable, match="ReplyError"):
            await limiter.decide([demand("k")])
        await limiter.close()

    async def test_more_questions_than_anybody_answers_are_refused(self) -> None:
        """Nothing piles up without a bound."""
        pipeline = Pipeline(Endpoint.of("redis://127.0.0.1:1"), timeout=PATIENT)
        asked = [Awaited[object]() for _ in range(5_001)]
        for one in asked:
            pipeline.ask(packed("PING"), one)
        with pytest.raises(LimiterUnavailable, match="TooManyUnanswered"):
            await asked.pop().future
        await pipeline.close()
        answers = await asyncio.gather(*[one.future for one in asked], return_exceptions=True)
        assert {str(answer) for answer in answers} == {"Closed"}


@pytest.mark.real
class TestTls:
    """`rediss://`."""

    async def test_wants_a_certificate_that_is_known(self, redis_url: str, tmp_path: Path) -> None:
        """Of the authority that the URL names; a stranger's is no Redis."""
        certificate = write_certificate(tmp_path / "redis.pem")
        async with relaying(redis_url, serving_with(certificate)) as relay:
            knows = RedisLimiter.from_url(
                f"{relay.url}?ssl_ca_certs={certificate}", timeout=PATIENT
            )
            stranger = RedisLimiter.from_url(relay.url, timeout=PATIENT)
            decisions = await many(knows, 3)
            with pytest.raises(LimiterUnavailable, match="SSLCertVerificationError"):
                await stranger.decide([demand("k")])
            await knows.close()
            await stranger.close()
        assert all(decision.allowed for decision in decisions)


class TestEndpoint:
    """Where Redis is."""

    def test_reads_what_redis_py_reads(self) -> None:
        """User, password, database, TLS with its options."""
        plain = Endpoint.of("redis://:s%40cret@redis:6380/3")
        tls = Endpoint.of("rediss://ann:pw@redis/0?ssl_cert_reqs=none")
        unix = Endpoint.of("unix:///run/redis.sock?db=2")
        assert (plain.host, plain.port, plain.tls) == ("redis", 6380, None)
        assert list(plain.greeting) == [("AUTH", "s@cret"), ("SELECT", "3")]
        assert tls.tls is not None
        assert not tls.tls.check_hostname
        assert list(tls.greeting) == [("AUTH", "ann", "pw")]
        assert (unix.path, list(unix.greeting)) == ("/run/redis.sock", [("SELECT", "2")])
        assert list(Endpoint.of("redis://:@redis").greeting) == []

    def test_does_not_print_the_password(self) -> None:
        """Nor is it part of an error."""
        assert "s3cret" not in repr(Endpoint.of("redis://ann:s3cret@redis/0"))

    def test_refuses_another_scheme(self) -> None:
        """Before anything starts."""
        with pytest.raises(ValueError, match="scheme"):
            Endpoint.of("http://redis:6379")
        with pytest.raises(ValueError, match="seven"):
            Endpoint.of("redis://redis/seven")


def demand(key: str) -> Demand:
    """Return a demand of one key, five a minute."""
    return Demand("test", key, Rate.parse("5/minute"))


async def connected(limiter: RedisLimiter) -> bool:
    """Say whether *limiter* gets an answer now."""
    with suppress(LimiterUnavailable):
        await limiter.check()
        return True
    return False
