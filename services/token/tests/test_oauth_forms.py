"""Forms at the endpoints of OAuth: what cannot be read is refused, what is unknown passed over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.token.tests.oauth import FORM, INTROSPECT, REVOKE, Office, run_office


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: nothing here reaches it."""
    return postgres


@pytest.fixture
async def office(
    make_database: MakeDatabase, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[Office]:
    """Give a service with clients."""
    async with run_office(make_database, clock, tmp_path) as running:
        yield running


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
class TestForms:
    """The same at both."""

    @pytest.mark.parametrize(
        "form",
        [
            b"",
            b"token=",
            b"token_type_hint=access_token",
            b"token=a&token=b",
            b"token=a&token=a",
            b"token=a&other=1&other=2",
            b"token=a&token_type_hint=x&token_type_hint=y",
            b"token=a&token=",
            b"token",
            b"&&",
            b"token=%ff",
            b"token=\xff",
            b"token=a%00b",
            b"token=a%0d%0ab",
            b"to%0aken=a&token=b",
            b"token=a&" + b"&".join(b"p%d=1" % number for number in range(40)),
            b'{"token":"x"}',
        ],
    )
    async def test_that_cannot_be_read(self, office: Office, path: str, form: bytes) -> None:
        """400, without repeating what was sent."""
        answer = await office.post(path, form, office.proof("helpdesk"))

        body = answer.json()
        assert (answer.status_code, body["error"], body["code"]) == (
            400,
            "invalid_request",
            "invalid_request",
        )

    async def test_of_parameters_in_the_query(self, office: Office, path: str) -> None:
        """Which logs and proxies would see."""
        target = f"{path}?token=x"

        answer = await office.post(target, {"token": "x"}, office.proof("helpdesk"))

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    async def test_unknown_parameters_are_passed_over(self, office: Office, path: str) -> None:
        """RFC 6749 §3.2: extensions of others mean nothing here."""
        form = {"token": "x", "resource": "https://api.example", "note": "ä"}

        assert (await office.post(path, form, office.proof("helpdesk"))).status_code == 200

    @pytest.mark.parametrize("media_type", ["application/json", "text/plain", "", "x"])
    async def test_of_another_type(self, office: Office, path: str, media_type: str) -> None:
        """415."""
        headers = office.proof("helpdesk") | {"content-type": media_type}

        answer = await office.post(path, {"token": "x"}, headers)

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

    async def test_with_a_charset_and_without(self, office: Office, path: str) -> None:
        """Parameters of the type change nothing."""
        typed = {"content-type": f"{FORM['content-type'].upper()}; charset=UTF-8"}

        answer = await office.post(path, {"token": "x"}, office.proof("helpdesk") | typed)

        assert answer.status_code == 200

    async def test_that_are_too_large(self, office: Office, path: str) -> None:
        """413 above 64 KiB."""
        answer = await office.post(path, b"token=" + b"a" * 66_000, office.proof("helpdesk"))

        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
