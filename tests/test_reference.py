"""The documents of the API say what there is: no more, no less."""

import importlib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from uuid import UUID

from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import BaseRoute, Route

import services.audit.routes
import services.identity.routes
import services.notify.routes
import services.token.routes
from chassis.errors import MethodNotAllowed, NotFound, Problem
from contracts.registry import EVENT_TYPES
from gateway.routing.loading import BUILT_IN
from gateway.routing.schema import RouteFile
from scripts.reference.access import TABLE
from scripts.reference.shapes import AuditEntry, PasswordPolicy, ProblemDetails
from services.audit.domain.entries import Entry
from services.identity.passwords import policy

DOCS = Path(__file__).parent.parent / "gateway" / "docs"
OPENAPI = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))
ASYNCAPI = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
ERRORS = (
    "gateway.errors",
    "services.identity.errors",
    "services.token.errors",
    "services.notify.errors",
    "services.audit.errors",
)
INTERNAL = {"event_not_accepted"}
"""Codes that only a service's call of another can meet."""
OF_PRODUCTS = {"insufficient_scope", "upstream_unavailable"}
"""Codes that only routes of `ROUTES_FILE` answer, which are not described."""

Endpoint = tuple[str, str]


def _service_routes() -> Iterator[tuple[str, BaseRoute]]:
    """Return what each service routes, by the service's name."""
    tables: dict[str, Sequence[BaseRoute]] = {
        "identity": services.identity.routes.routes(MagicMock()),
        "token": services.token.routes.routes(MagicMock()),
        "audit": services.audit.routes.routes(MagicMock()),
        "notify": [
            *services.notify.routes.admin_routes(MagicMock()),
            *services.notify.routes.inbox_routes(MagicMock()),
        ],
    }
    return ((name, route) for name, table in tables.items() for route in table)


def _plain(path: str) -> str:
    """Return *path* without the names of its parameters."""
    return re.sub(r"\{[^}]+\}", "0", path)


def _is_forwarded(service: str, method: str, path: str) -> bool:
    """Say whether the gateway lets this request through to this service."""
    try:
        route = TABLE.find(tuple(_plain(path)[1:].split("/")), method)
    except (NotFound, MethodNotAllowed):
        return False
    return route.upstream is not None and route.upstream.name == service


def _reachable() -> set[Endpoint]:
    """Return what answers behind the gateway, and the pages and documents it serves itself."""
    behind = {
        (method, _plain(route.path))
        for service, route in _service_routes()
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
        if _is_forwarded(service, method, route.path)
    }
    file = RouteFile.model_validate(tomllib.loads(BUILT_IN.read_text(encoding="utf-8")))
    own = {
        (method, spec.path)
        for spec in file.route
        for method in spec.methods
        if spec.answer or (spec.page and not spec.page.endswith((".css", ".js")))
    }
    return behind | own


def _operations() -> Iterator[tuple[Endpoint, dict[str, Any]]]:
    for path, item in OPENAPI["paths"].items():
        for method, operation in item.items():
            yield (method.upper(), _plain(path)), operation


def _references(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from _references(item)


def _resolves(document: Any, reference: str) -> bool:
    """Say whether a JSON pointer of *document* leads somewhere (RFC 6901)."""
    node = document
    for part in reference.removeprefix("#/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True


class TestOpenApi:
    """gateway/docs/openapi.json."""

    def test_is_valid(self) -> None:
        """By the schema of OpenAPI 3.1, with every reference leading somewhere."""
        assert list(OpenAPIV31SpecValidator(OPENAPI).iter_errors()) == []

    def test_describes_what_can_be_reached_and_nothing_else(self) -> None:
        """A new endpoint without a line in scripts/reference fails here."""
        assert sorted(endpoint for endpoint, _ in _operations()) == sorted(_reachable())

    def test_names_every_code_a_caller_can_meet(self) -> None:
        """A code is API: a new error belongs to the operations that raise it."""
        modules = [importlib.import_module(name) for name in ERRORS]
        named = {
            kind.code
            for module in modules
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, Problem)
        }
        shown = {
            code
            for response in OPENAPI["components"]["responses"].values()
            for content in response["content"].values()
            for code in content["examples"]
        }

        # The kinds themselves are imported there, and answered under the code of a subclass.
        kinds = {"bad_request", "conflict", "unavailable"}
        assert named - INTERNAL - OF_PRODUCTS - kinds <= shown

    def test_shows_problems_that_are_problems(self) -> None:
        """Each example has the shape it illustrates."""
        for response in OPENAPI["components"]["responses"].values():
            for content in response["content"].values():
                for code, example in content["examples"].items():
                    assert ProblemDetails.model_validate(example["value"]).code == code

    def test_sorts_operations_under_tags_it_explains(self) -> None:
        """And gives each a name of its own."""
        operations = [operation for _, operation in _operations()]
        names = [operation["operationId"] for operation in operations]
        tags = [tag["name"] for tag in OPENAPI["tags"]]

        assert len(set(names)) == len(names)
        assert {tag for operation in operations for tag in operation["tags"]} == set(tags)

    def test_asks_for_a_token_where_the_gateway_does(self) -> None:
        """Who may call is read from routes.toml."""
        paths = OPENAPI["paths"]

        assert paths["/api/v1/auth/login"]["post"]["security"] == []
        none: list[str] = []
        forged = {"csrfToken": none}
        by_token, by_cookie, by_refresh = (
            {name: none} for name in ("accessToken", "accessCookie", "refreshCookie")
        )
        assert paths["/api/v1/users/me"]["get"]["security"] == [by_token, by_cookie]
        assert paths["/api/v1/users/me"]["patch"]["security"] == [by_token, by_cookie | forged]
        assert paths["/api/v1/auth/refresh"]["post"]["security"] == [{}, by_refresh | forged]
        assert paths["/api/v1/auth/logout"]["post"]["security"] == [
            *({}, by_token),
            *(by_cookie | forged, by_refresh | forged),
        ]
        assert "`admin`" in paths["/api/v1/admin/users"]["get"]["description"]


class TestShapes:
    """Answers that are written down by hand are those that are given."""

    def test_of_the_password_policy(self) -> None:
        """GET /api/v1/auth/password-policy."""
        rules = policy.PasswordPolicy(preset="seed", min_length=8)

        assert PasswordPolicy.model_validate(rules.published())

    def test_of_an_audit_entry(self) -> None:
        """GET /api/v1/admin/audit/{id}."""
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        leaf: dict[str, Any] = {"subject": None, "producerseq": 7, "data": {}, "pii_commit": ["x"]}
        entry = Entry(
            event_id=UUID(int=1),
            received_at=moment,
            occurred_at=moment,
            type="identity.user.enabled.v1",
            source="identity",
            outcome="success",
            trace_id=None,
            leaf_bytes=json.dumps(leaf).encode(),
            bodies=[b'{"actor": "somebody"}'],
        )

        assert AuditEntry.model_validate(entry.shown()).actor == "somebody"


class TestAsyncApi:
    """gateway/docs/asyncapi.json."""

    def test_has_a_channel_for_every_public_event_and_no_command(self) -> None:
        """The address is the routing key."""
        addresses = [channel["address"] for channel in ASYNCAPI["channels"].values()]

        assert sorted(addresses) == sorted(EVENT_TYPES)

    def test_leads_somewhere_with_every_reference(self) -> None:
        """A broken one stops every tool."""
        references = list(_references(ASYNCAPI))

        assert references
        assert [name for name in references if not _resolves(ASYNCAPI, name)] == []
