"""The OpenAPI 3.1 document of everything the gateway serves."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from scripts.reference import identity, others, token
from scripts.reference.access import Access, access_of
from scripts.reference.operation import Answer, Operation
from scripts.reference.refusals import HEADERS, Refusals
from scripts.reference.schemas import Schemas
from scripts.reference.shapes import ProblemDetails

ROOT = Path(__file__).resolve().parents[2]

OPERATIONS: tuple[Operation, ...] = (
    *identity.ACCOUNTS,
    *identity.PASSWORDS,
    *token.OPERATIONS,
    *identity.ADMINISTRATION,
    *others.AUDIT,
    *others.NOTIFY,
    *others.PAGES,
)

_TAGS = {
    "Accounts": "Make an account, prove its address, see and change it.",
    "Passwords": "The rules, the forgotten, the changed.",
    "Sessions": "Log in, refresh, log out.",
    "OAuth": "For resource servers and other confidential clients, of `OAUTH_CLIENTS_FILE`.",
    "Discovery": "What a client or another service needs to verify tokens.",
    "Administration": "The accounts of others. Moderators see and touch plain users alone.",
    "Signing keys": "What access tokens are signed with. Replaced by themselves, or by hand.",
    "Audit": "The log of everything that concerns authentication.",
    "Address blocks": "Addresses and networks that the gateway refuses.",
    "Alerts": "What looks like an attack, and what happened in numbers.",
    "Mail": "The ledger of mails.",
    "Pages": "For people: what mails link to, and this reference.",
    "Development": "On a developer's machine alone.",
}

_DESCRIPTION = """Accounts, sessions, mail and evidence behind one gateway.

Bodies are `application/json` of at most 64 KiB; unknown fields are refused. Every refusal is a
problem (RFC 9457) with a stable `code`. Times are RFC 3339 in UTC. Lists are read page by page:
`next_cursor` of one answer is `cursor` of the next question.

Clients are in one of two modes. API mode: the access token in `Authorization`, the refresh token
in bodies. Browser mode, chosen at login by `Gatehouse-Mode: browser`: all of them in cookies (named
without `__Host-` on plain http at a loopback address), and where a cookie counts, every method but
GET, HEAD and OPTIONS needs the value of the cookie `__Host-gatehouse-csrf` in `X-CSRF-Token`, sent
by a page of the same origin, or of one in `CORS_ALLOWED_ORIGINS`. With an `Authorization` header
cookies are ignored.

Product upstreams of `ROUTES_FILE` are not described here.
"""

_HEADER_PARAMETERS = {
    "Gatehouse-Device": "The `device_token` of an earlier login; in browser mode a cookie.",
    "Gatehouse-Mode": "`browser`: tokens become cookies and are in no body.",
}


def document() -> dict[str, Any]:
    """Return the whole document."""
    schemas = Schemas([(ProblemDetails, "serialization"), *_models()])
    refusals = Refusals(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        entry = _Writer(operation, access_of(operation), schemas, refusals).entry()
        paths.setdefault(operation.path, {})[operation.method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": _info(),
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": _components(schemas, refusals),
    }


def _models() -> Iterable[tuple[type[BaseModel], str]]:
    return (pair for operation in OPERATIONS for pair in operation.models)


def _info() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "title": "Gatehouse",
        "version": project["version"],
        "summary": project["description"],
        "description": _DESCRIPTION,
        "license": {"name": "MIT", "identifier": project["license"]},
    }


def _components(schemas: Schemas, refusals: Refusals) -> dict[str, Any]:
    return {
        "securitySchemes": {
            "accessToken": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The `access_token` of login or refresh.",
            },
            "clientSecret": {
                "type": "http",
                "scheme": "basic",
                "description": "`client_id` and `client_secret`, form-encoded (RFC 6749 §2.3.1).",
            },
            "accessCookie": _cookie("access", "Set by login and refresh in browser mode."),
            "refreshCookie": _cookie("refresh", "Set by login and refresh in browser mode."),
            "csrfToken": {
                "type": "apiKey",
                "in": "header",
                "name": "X-CSRF-Token",
                "description": "The value of the cookie `__Host-gatehouse-csrf`.",
            },
        },
        "headers": HEADERS,
        "parameters": {
            name: {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in _HEADER_PARAMETERS.items()
        },
        "responses": refusals.components,
        "schemas": schemas.components,
    }


def _cookie(kind: str, text: str) -> dict[str, str]:
    name = f"__Host-gatehouse-{kind}"
    return {"type": "apiKey", "in": "cookie", "name": name, "description": text}


class _Writer:
    """Writes one operation object (OpenAPI 3.1 §4.8.10)."""

    def __init__(
        self, operation: Operation, access: Access, schemas: Schemas, refusals: Refusals
    ) -> None:
        self._operation = operation
        self._access = access
        self._schemas = schemas
        self._refusals = refusals

    def entry(self) -> dict[str, Any]:
        """Return the object."""
        operation = self._operation
        entry: dict[str, Any] = {
            "operationId": operation.name,
            "tags": [operation.tag],
            "summary": operation.summary,
            "description": self._text(),
            "security": self._access.security,
        }
        parameters = self._parameters()
        if parameters:
            entry["parameters"] = parameters
        if operation.body:
            content = {operation.body_media: {"schema": self._schemas.reference(operation.body)}}
            entry["requestBody"] = {"required": operation.body_required, "content": content}
        answers = {str(status): self._answer(a) for status, a in operation.answers.items()}
        entry["responses"] = answers | self._refusals.responses(operation, self._access)
        return {name: value for name, value in entry.items() if value != ""}

    def _text(self) -> str:
        parts = (" ".join(self._operation.text.split()), *self._access.sentences)
        return "\n\n".join(part for part in parts if part)

    def _parameters(self) -> list[dict[str, Any]]:
        names = re.findall(r"\{([a-z_]+)\}", self._operation.path)
        in_path: list[dict[str, Any]] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "format": "uuid"},
            }
            for name in names
        ]
        in_headers: Sequence[dict[str, Any]] = [
            {"$ref": f"#/components/parameters/{name}"} for name in self._operation.headers
        ]
        query = self._operation.query
        return [*in_path, *(self._schemas.parameters(query) if query else ()), *in_headers]

    def _answer(self, answer: Answer) -> dict[str, Any]:
        written: dict[str, Any] = {"description": answer.text}
        if answer.headers:
            written["headers"] = {
                name: {"$ref": f"#/components/headers/{name}"} for name in answer.headers
            }
        is_empty = answer.model is None and answer.media == ("application/json",)
        if not is_empty or self._operation.tag == "Pages":
            written["content"] = {media: self._content(answer) for media in answer.media}
        return written

    def _content(self, answer: Answer) -> dict[str, Any]:
        if answer.model is None:
            text = {"type": "object" if answer.media == ("application/json",) else "string"}
            return {"schema": text}
        schema = self._schemas.reference(answer.model)
        if answer.or_model:
            schema = {"anyOf": [schema, self._schemas.reference(answer.or_model)]}
        if answer.many:
            schema = {"type": "array", "items": schema}
        return {"schema": schema} | ({"example": answer.example} if answer.example else {})
