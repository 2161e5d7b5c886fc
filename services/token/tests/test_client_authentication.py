"""Who may talk to the endpoints of OAuth, and what happens to those who may not."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.token.domain.clients import ClientSecret
from services.token.errors import TooManyAttempts
from services.token.service.clients import FAILURES_PER_MINUTE, FailureLimit
from services.token.tests.kit import MIGRATIONS, run_world
from services.token.tests.oauth import INTROSPECT, KNOWN, REVOKE, Office, basic, entry, run_office

FAILED = "token.client.authentication_failed.v1"
TOKEN = {"token": "x"}


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: its part in this is an event."""
    return postgres


@pytest.fixture
async def office(
    make_database: MakeDatabase, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[Office]:
    """Give a service with clients."""
    async with run_office(make_database, clock, tmp_path) as running:
        yield running


def told(answer: httpx.Response) -> tuple[int, str]:
    """Return status and error of a refusal in OAuth's form (RFC 6749 §5.2)."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert body["error"] == body["code"]
    assert body["error_description"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["error"]


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
class TestGoodCredentials:
    """In one of two ways."""

    async def test_by_header(self, office: Office, path: str) -> None:
        """client_secret_basic, whatever the case of its name."""
        proof = office.proof("helpdesk")["authorization"]

        for header in (proof, proof.replace("Basic", "bAsIc")):
            answer = await office.post(path, TOKEN, {"authorization": header})
            assert answer.status_code == 200
        named = await office.post(
            path, {**TOKEN, "client_id": "helpdesk"}, office.proof("helpdesk")
        )
        assert named.status_code == 200

    async def test_by_header_form_encoded(self, office: Office, path: str) -> None:
        """RFC 6749 §2.3.1: some clients encode every byte."""
        text = office.secrets["helpdesk"].text
        encoded = "".join(f"%{ord(character):02X}" for character in text)

        assert (await office.post(path, TOKEN, basic("h%65lpdesk", encoded))).status_code == 200

    async def test_by_body(self, office: Office, path: str) -> None:
        """client_secret_post."""
        secret = office.secrets["helpdesk"].text
        form = {**TOKEN, "client_id": "helpdesk", "client_secret": secret}

        assert (await office.post(path, form)).status_code == 200

    async def test_every_secret_of_a_client(
        self, make_database: MakeDatabase, clock: FixedClock, tmp_path: Path, path: str
    ) -> None:
        """So that one can be replaced while the other works."""
        secrets = [ClientSecret.new() for _ in range(3)]
        file = tmp_path / "two.toml"
        file.write_text(entry("helpdesk", KNOWN["helpdesk"], secrets[:2]))
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, oauth_clients_file=file) as world:
            office = Office(world, {})
            answers = [await office.post(path, TOKEN, basic("helpdesk", s.text)) for s in secrets]

        assert [answer.status_code for answer in answers] == [200, 200, 401]


class TestWeakSecrets:
    """Which somebody made a digest of by hand."""

    @pytest.mark.parametrize("secret", ["", "hunter2", "gh_cs_short", "gh_cs_"])
    async def test_open_nothing(
        self, make_database: MakeDatabase, clock: FixedClock, tmp_path: Path, secret: str
    ) -> None:
        """Only what was made here is looked at, also where the digest would match."""
        file = tmp_path / "weak.toml"
        file.write_text(entry("helpdesk", KNOWN["helpdesk"], [ClientSecret(secret)]))
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, oauth_clients_file=file) as world:
            office = Office(world, {})
            for presented in (secret, "", "anything"):
                answer = await office.post(INTROSPECT, TOKEN, basic("helpdesk", presented))
                assert told(answer) == (401, "invalid_client")


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
class TestBadCredentials:
    """One 401 for all of them."""

    async def test_look_alike(self, office: Office, path: str) -> None:
        """Whether there is such a client cannot be told."""
        secret = office.secrets["helpdesk"].text
        wrong = ClientSecret.new().text
        raw = {"authorization": "Basic"}
        garbage = {"authorization": "Basic %%%"}
        no_text = {"authorization": f"Basic {base64.b64encode(b'a:%ff').decode()}"}
        post = {**TOKEN, "client_id": "helpdesk", "client_secret": wrong}
        attempts = [
            (TOKEN, basic("helpdesk", wrong)),
            (TOKEN, basic("nobody", secret)),
            (TOKEN, basic("orders", secret)),
            (TOKEN, basic("helpdesk", "")),
            (TOKEN, basic("", "")),
            (TOKEN, basic("helpdesk", f"{secret}\n")),
            (TOKEN, {"authorization": f"Bearer {secret}"}),
            (TOKEN, raw),
            (TOKEN, garbage),
            (TOKEN, no_text),
            (post, None),
            ({**TOKEN, "client_id": "helpdesk"}, None),
            (TOKEN, None),
        ]
        answers = [
            await office.post(path, form, headers, address=f"192.0.2.{number}")
            for number, (form, headers) in enumerate(attempts)
        ]

        assert {told(answer) for answer in answers} == {(401, "invalid_client")}
        bodies = [{**answer.json(), "request_id": ""} for answer in answers]
        assert all(body == bodies[0] for body in bodies)
        schemes = {answer.headers["www-authenticate"] for answer in answers}
        assert schemes == {'Basic realm="oauth2", charset="UTF-8"'}

    @pytest.mark.parametrize(
        ("form", "headers"),
        [
            ({"client_secret": "x"}, basic("helpdesk", "x")),
            ({"client_id": "helpdesk", "client_secret": "x"}, {"authorization": "Bearer x"}),
            ({"client_id": "orders"}, basic("helpdesk", "x")),
        ],
    )
    async def test_two_ways_at_once(
        self, office: Office, path: str, form: dict[str, str], headers: dict[str, str]
    ) -> None:
        """400, whatever they are worth."""
        answer = await office.post(path, {**TOKEN, **form}, headers)

        assert told(answer) == (400, "invalid_request")

    async def test_without_a_file_nobody_gets_in(
        self, make_database: MakeDatabase, clock: FixedClock, path: str
    ) -> None:
        """The endpoints are there all the same."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock) as world:
            answer = await Office(world, {}).post(path, TOKEN, basic("helpdesk", "x"))

        assert told(answer) == (401, "invalid_client")


class TestTelling:
    """What others hear of failures."""

    async def test_names_a_known_client_and_where_from(self, office: Office) -> None:
        """In an event, a log line and a metric; an unknown name is a secret, perhaps."""
        with capture_logs() as logs:
            await office.post(INTROSPECT, TOKEN, basic("orders", "gh_cs_wrong-secret-of-orders"))
            await office.post(REVOKE, TOKEN, basic("my-secret-name", "x"))

        events = await office.world.events(FAILED)
        assert [(event["subject"], event["data"], event["ip"]) for event in events] == [
            ("orders", {"client_id": "orders", "reason": "wrong_secret"}, "192.0.2.1"),
            ("unknown_client", {"client_id": None, "reason": "unknown_client"}, "192.0.2.1"),
        ]
        lines = [line for line in logs if line["event"] == "client.authentication_failed"]
        assert [line["client_id"] for line in lines] == ["orders", None]
        assert "my-secret-name" not in str(logs) + str(events)
        assert "wrong-secret" not in str(logs) + str(events)

    async def test_is_not_for_requests_without_credentials(self, office: Office) -> None:
        """Whoever knocks and says nothing is only counted."""
        await office.post(INTROSPECT, TOKEN)

        registry = office.world.deployable.metrics.registry
        name = "gatehouse_token_client_authentication_failures_total"
        assert await office.world.events(FAILED) == []
        assert registry.get_sample_value(name, {"reason": "no_credentials"}) == 1

    async def test_is_bounded_by_address_and_minute(self, office: Office) -> None:
        """429 then, for failures alone: the right secret is let in from there too."""
        wrong = basic("orders", "x")
        for _ in range(FAILURES_PER_MINUTE):
            assert (await office.post(INTROSPECT, TOKEN, wrong)).status_code == 401

        refused = await office.post(INTROSPECT, TOKEN, wrong)
        good = await office.post(INTROSPECT, TOKEN, office.proof("orders"))
        elsewhere = await office.post(INTROSPECT, TOKEN, wrong, address="192.0.2.2")
        office.world.clock.advance(timedelta(minutes=1))
        later = await office.post(INTROSPECT, TOKEN, wrong)

        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert [good.status_code, elsewhere.status_code, later.status_code] == [200, 401, 401]
        assert len(await office.world.events(FAILED)) == FAILURES_PER_MINUTE + 2


class TestFailureLimit:
    """The table behind it."""

    def test_counts_an_ipv6_network_as_one(self, clock: FixedClock) -> None:
        """A client chooses from 2^64 addresses."""
        limit = FailureLimit(clock)
        for number in range(FAILURES_PER_MINUTE):
            limit.add(f"2001:db8::{number:x}")

        with pytest.raises(TooManyAttempts):
            limit.add("2001:db8::ffff")
        limit.add("2001:db8:0:1::1")

    def test_takes_so_many_sources_and_no_more(self, clock: FixedClock) -> None:
        """Until the minute is over; those it knows go on."""
        limit = FailureLimit(clock, sources=2)
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
            limit.add(address)
        with pytest.raises(TooManyAttempts):
            limit.add("192.0.2.3")
        clock.advance(timedelta(minutes=1))
        limit.add("192.0.2.3")

    def test_counts_whoever_has_no_address_together(self, clock: FixedClock) -> None:
        """The gateway always names one."""
        limit = FailureLimit(clock)
        for _ in range(FAILURES_PER_MINUTE):
            limit.add(None)
        with pytest.raises(TooManyAttempts):
            limit.add(None)

    def test_survives_a_clock_that_is_set_back(self, clock: FixedClock) -> None:
        """Nobody waits for yesterday."""
        limit = FailureLimit(clock)
        for _ in range(FAILURES_PER_MINUTE):
            limit.add("192.0.2.1")
        clock.advance(-timedelta(hours=1))
        limit.add("192.0.2.1")
