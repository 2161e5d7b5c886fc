"""Bad input at every operation of the API: a problem with a code, never a 500 (see bad_input)."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from chassis.testing import eventually
from tests.platforms.access import NOBODYS_ID
from tests.platforms.bad_input import (
    IDS,
    OPERATIONS,
    Bad,
    Operation,
    bad_bodies,
    bad_forms,
    bad_queries,
)
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.platform import Platform

pytestmark = pytest.mark.slow

Tokens = Mapping[str, str | None]

BODIES = [
    pytest.param(operation, bad, id=f"{operation}: {bad.name}")
    for operation in OPERATIONS
    if operation.fields is not None
    for bad in bad_bodies(operation)
]
QUERIES = [
    pytest.param(operation, bad, id=f"{operation}: {bad.name}")
    for operation in OPERATIONS
    if operation.parameters
    for bad in bad_queries(operation)
]
FORMS = [
    pytest.param(operation, bad, id=f"{operation}: {bad.name}")
    for operation in OPERATIONS
    if operation.takes_form
    for bad in bad_forms(operation)
]
WITH_ID = [operation for operation in OPERATIONS if "{id}" in operation.path]


def _send(client: httpx.Client, operation: Operation, tokens: Tokens, bad: Bad) -> httpx.Response:
    headers = {"Content-Type": bad.media_type} if bad.media_type else {}
    if operation.needs_token:
        headers["Authorization"] = f"Bearer {tokens['admin']}"
    target = operation.path.replace("{id}", NOBODYS_ID)
    url = f"{target}?{bad.query}" if bad.query else target
    return client.request(operation.method, url, headers=headers, content=bad.body)


def _assert_refused(answer: httpx.Response, bad: Bad) -> None:
    assert answer.status_code == bad.status, answer.text
    problem = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (problem["code"], problem["status"]) == (bad.code, bad.status)
    assert problem["request_id"] == answer.headers["x-request-id"]
    if bad.pointer:
        pointers = [error["pointer"] for error in problem["errors"]]
        assert any(pointer.split("/")[1] == bad.pointer[1:] for pointer in pointers), pointers


class TestBodies:
    """Of every operation that takes JSON."""

    @pytest.mark.parametrize(("operation", "bad"), BODIES)
    def test_are_refused_by_name(
        self, client: httpx.Client, tokens: Tokens, operation: Operation, bad: Bad
    ) -> None:
        """A problem with a code, and a pointer where a field is to blame."""
        _assert_refused(_send(client, operation, tokens, bad), bad)


class TestQueries:
    """Of every operation that takes parameters."""

    @pytest.mark.parametrize(("operation", "bad"), QUERIES)
    def test_are_refused_by_name(
        self, client: httpx.Client, tokens: Tokens, operation: Operation, bad: Bad
    ) -> None:
        """Unknown, repeated and unreadable ones."""
        _assert_refused(_send(client, operation, tokens, bad), bad)


class TestForms:
    """Of every operation of OAuth."""

    @pytest.mark.parametrize(("operation", "bad"), FORMS)
    def test_are_refused_by_name(
        self, client: httpx.Client, relaxed: Platform, operation: Operation, bad: Bad
    ) -> None:
        """In OAuth's own form where it has a word (RFC 6749 §5.2), else as a problem."""
        headers = {"Content-Type": bad.media_type} if bad.media_type else {}
        url = f"{operation.path}?{bad.query}" if bad.query else operation.path
        answer = client.post(url, headers=headers, content=bad.body, auth=relaxed.oauth_client.auth)

        if bad.code != "invalid_request":
            _assert_refused(answer, bad)
            return
        refusal = answer.json()
        assert answer.headers["content-type"].startswith("application/json")
        assert (answer.status_code, refusal["error"], refusal["code"]) == (400, bad.code, bad.code)
        assert refusal["request_id"] == answer.headers["x-request-id"]

    def test_are_there(self) -> None:
        """Of introspection and of revocation."""
        assert {str(param.values[0]) for param in FORMS} == {
            "POST /oauth2/introspect",
            "POST /oauth2/revoke",
        }


class TestIds:
    """Of every operation on one thing."""

    @pytest.mark.parametrize("given", IDS)
    @pytest.mark.parametrize("operation", WITH_ID, ids=str)
    def test_that_are_none_name_nothing(
        self, client: httpx.Client, tokens: Tokens, operation: Operation, given: str
    ) -> None:
        """404, or 400 where the path could be read in two ways; a body is looked at first."""
        url = operation.path.replace("{id}", given)
        headers = {"Authorization": f"Bearer {tokens['admin']}"}
        answer = client.request(operation.method, url, headers=headers, json={"roles": []})

        assert answer.status_code in (400, 404), answer.text
        assert answer.json()["code"]


async def _raw(platform: Platform, head: bytes) -> bytes:
    """Send these bytes to the gateway and return all it answers."""
    url = httpx.URL(platform.base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(head)
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def _new_lines(log: Path, start: int) -> list[dict[str, object]]:
    """Read what was logged since the file had *start* bytes; each line must be an object."""
    written = log.read_bytes()[start:]
    return [json.loads(line) for line in written[: written.rfind(b"\n") + 1].splitlines()]


class TestInjection:
    """Text that would be something else elsewhere stays text."""

    @pytest.mark.parametrize(
        "value",
        [
            b'x"} {"event":"forged"}',
            'x\u2028{"event":"forged"}\x85'.encode(),
            b"\x1b[2J\x1b]0;forged\x07",
            b"\xff\xfe\x80",
            b"${jndi:ldap://forged}",
            b"%0d%0aSet-Cookie: forged=1",
        ],
        ids=["json", "separators", "terminal", "no text", "lookup", "line break"],
    )
    async def test_in_headers_reaches_neither_log_nor_answer(
        self, relaxed: Platform, value: bytes
    ) -> None:
        """Every line of the log is still one JSON object of ours, no header is anybody's."""
        log = relaxed.folder / "allinone.log"
        start = log.stat().st_size
        names = (b"User-Agent", b"X-Request-Id", b"traceparent", b"X-Forwarded-For", b"Referer")
        headers = b"".join(name + b": " + value + b"\r\n" for name in names)
        answer = await _raw(
            relaxed,
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: 37\r\n" + headers + b"\r\n"
            b'{"username":"nobody","password":"x!"}',
        )

        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert int(head.split()[1]) in (400, 401), answer
        assert b"forged" not in head
        assert b"set-cookie" not in head
        lines = await eventually(lambda: _new_lines(log, start))
        assert "forged" not in {line["event"] for line in lines}

    async def test_in_a_username_is_a_wrong_username(self, relaxed: Platform) -> None:
        """401 like any other, and nothing of it in a log."""
        log = relaxed.folder / "allinone.log"
        start = log.stat().st_size
        async with relaxed.person('forged\' OR 1=1 --\u2028{"event":"forged"}') as person:
            answer = await person.login()

        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
        lines = await eventually(lambda: _new_lines(log, start))
        assert "forged" not in json.dumps(lines)

    async def test_of_a_host_does_not_reach_the_mailed_link(self, relaxed: Platform) -> None:
        """Links begin with PUBLIC_BASE_URL, whatever host was asked."""
        async with relaxed.person() as person:
            await person.join()
            body = json.dumps({"email": person.email}).encode()
            answer = await _raw(
                relaxed,
                b"POST /api/v1/auth/password-reset HTTP/1.1\r\nHost: evil.example\r\n"
                b"X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n"
                b"Connection: close\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
            )
            assert b" 200 " in answer.splitlines()[0]
            mail = await wait_for_mail(relaxed.mailbox, person.email, containing="reset-password")

        port = httpx.URL(relaxed.base_url).port
        assert [link for link in mail.links if "reset-password" in link]
        assert all(link.startswith(f"http://localhost:{port}/") for link in mail.links)
