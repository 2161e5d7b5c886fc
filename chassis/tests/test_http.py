"""Strict bodies: whatever is not exactly right is named, and never a 500."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.errors import Problem
from chassis.http import (
    MAX_BODY_BYTES,
    QueryModel,
    RequestModel,
    parse_json,
    problem_response,
    query,
    read_json,
    respond,
)


class Thing(RequestModel):
    """A body with a text and a number."""

    name: str
    count: int = 1


class Page(QueryModel):
    """A query with a number."""

    limit: int = 50


async def _create(request: Request) -> Response:
    return respond(await read_json(request, Thing), 201)


async def _list(request: Request) -> Response:
    return respond(query(request, Page))


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error, request_id="r-1")


@pytest.fixture
def client() -> httpx.AsyncClient:
    """Return a client of an app that reads one body and one query."""
    app = Starlette(
        routes=[Route("/things", _create, methods=["POST"]), Route("/things", _list)],
        exception_handlers={Problem: _problem},
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def _post(client: httpx.AsyncClient, body: bytes, kind: str = "application/json") -> Any:
    async with client:
        return await client.post("/things", content=body, headers={"content-type": kind})


async def test_a_good_body_is_read(client: httpx.AsyncClient) -> None:
    """A JSON object that fits the model comes through."""
    response = await _post(client, b'{"name":"caf\xc3\xa9"}', "application/json; charset=utf-8")
    assert response.status_code == 201
    assert response.json() == {"name": "café", "count": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"name":"\xff"}',
        b'{"name":"a","name":"b"}',
        b'{"name":NaN}',
        b'{"name":"a","count":Infinity}',
        b"[" * 20_000 + b"]" * 20_000,
        b'{"name":"a"} trailing',
        b'{"name":"a","count":' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_not_one_json_object_is_malformed(
    client: httpx.AsyncClient, body: bytes
) -> None:
    """Broken JSON, a key twice, a wrong top level, bad UTF-8: 400 malformed_body."""
    response = await _post(client, body)
    assert response.status_code == 400
    assert response.json()["code"] == "malformed_body"
    assert response.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/name", "missing"),
        ({"name": 7}, "/name", "string_type"),
        ({"name": "a", "count": "1"}, "/count", "int_type"),
        ({"name": "a", "count": True}, "/count", "int_type"),
        ({"name": "a", "is_admin": True}, "/is_admin", "unknown_field"),
        ({"name": "a", "x/y~": 1}, "/x~1y~0", "unknown_field"),
        ({"name": "a\x00b"}, "/name", "control_character"),
        ({"name": "a\nb"}, "/name", "control_character"),
        ({"name": "\ud800"}, "/name", "control_character"),
    ],
)
async def test_each_wrong_field_is_named(
    client: httpx.AsyncClient, body: dict[str, Any], pointer: str, code: str
) -> None:
    """A field that breaks a rule is named by its JSON pointer and a code."""
    response = await _post(client, json.dumps(body).encode())
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_input"
    assert {"pointer": pointer, "code": code}.items() <= response.json()["errors"][0].items()


async def test_an_error_never_repeats_what_was_sent(client: httpx.AsyncClient) -> None:
    """The value of a wrong field is not in the answer."""
    response = await _post(client, b'{"name":["hunter2"]}')
    assert "hunter2" not in response.text


async def test_an_error_never_speaks_of_python(client: httpx.AsyncClient) -> None:
    """What the interpreter says of a number too long for it stays here."""
    response = await _post(client, b'{"name":"a","count":' + b"9" * 5000 + b"}")
    assert response.json()["detail"] == "Not JSON."


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_read(client: httpx.AsyncClient, kind: str) -> None:
    """Another media type is refused with 415."""
    response = await _post(client, b'{"name":"a"}', kind)
    assert response.status_code == 415


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_above_the_limit_is_refused(
    client: httpx.AsyncClient,
    declared: bool,  # noqa: FBT001 - a parametrised case
) -> None:
    """64 KiB is the most, with a declared length or without."""
    body = b'{"name":"' + b"a" * MAX_BODY_BYTES + b'"}'

    async def chunks() -> Any:
        yield body

    async with client:
        response = await client.post(
            "/things",
            content=body if declared else chunks(),
            headers={"content-type": "application/json"},
        )
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("query_string", "pointer"),
    [("limit=x", "/limit"), ("limit=1&limit=2", "/limit"), ("a=1", "/a"), ("limit=%00", "/limit")],
)
async def test_a_query_is_as_strict(
    client: httpx.AsyncClient, query_string: str, pointer: str
) -> None:
    """Unknown, repeated and wrong parameters are named."""
    async with client:
        response = await client.get(f"/things?{query_string}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == pointer


def test_what_was_sent_is_not_kept() -> None:
    """The parser makes each text anew: a cache of them would hold passwords and tokens."""
    first, second = (parse_json(b'{"name": "a secret of somebody"}', Thing) for _ in range(2))
    assert first.name == second.name
    assert first.name is not second.name
