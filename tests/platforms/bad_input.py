"""Bad bodies, queries and ids for every operation of the API, made from its own description."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OPENAPI = Path(__file__).parents[2] / "gateway" / "docs" / "openapi.json"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MASS_ASSIGNMENT = ("id", "is_verified", "password_hash", "version", "__proto__", "$where")
"""Names that would give somebody something, were they taken over; none is anybody's field."""

IDS = ("x", "0", "%2e%2e", "..%2fmetrics", "%00", "%ff", "%F0%9F%92%A3", "a" * 300, "';--", "{id}")

_BEYOND = (("minimum", -1), ("maximum", 1))
_TOO_LARGE = 70_000
_DEEP = 10_000
_MANY = 40
_FIELDS = ("token", "token_type_hint", "client_id", "client_secret", "anything")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """One bad input and the refusal it deserves; *pointer* is None where no field is to blame."""

    name: str
    body: bytes = b""
    media_type: str = JSON
    query: str = ""
    status: int = 400
    code: str
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the description has it."""

    method: str
    path: str
    document: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def needs_token(self) -> bool:
        """Say whether nobody may call it without one."""
        return bool(self.document["security"]) and all(self.document["security"])

    @property
    def fields(self) -> Mapping[str, Any] | None:
        """Return the schemas of the body's fields; None where no JSON body is taken."""
        content = self.document.get("requestBody", {}).get("content", {})
        if JSON not in content:
            return None
        name = content[JSON]["schema"]["$ref"].rpartition("/")[2]
        properties = _DOCUMENT["components"]["schemas"][name]["properties"]
        return {field: _plain(schema) for field, schema in properties.items()}

    @property
    def takes_form(self) -> bool:
        """Say whether its parameters come in a form, as OAuth's do."""
        return FORM in self.document.get("requestBody", {}).get("content", {})

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the schemas of the query's parameters."""
        parameters = self.document.get("parameters", ())
        asked = [item for item in parameters if item.get("in") == "query"]
        return {item["name"]: _plain(item["schema"]) for item in asked}


def _read() -> Any:
    return json.loads(_OPENAPI.read_text(encoding="utf-8"))


_DOCUMENT = _read()
OPERATIONS = tuple(
    Operation(method.upper(), path, document)
    for path, item in _DOCUMENT["paths"].items()
    for method, document in item.items()
)


def bad_bodies(operation: Operation) -> Iterator[Bad]:
    """Make bad bodies of every kind for an operation that takes JSON; none can take effect."""
    fields = operation.fields or {}
    sample = {name: _sample(schema) for name, schema in fields.items()}
    encoded = json.dumps(sample).encode()
    if operation.document["requestBody"]["required"]:
        yield Bad(name="empty", code="malformed_body")
    yield from _not_an_object(encoded)
    yield from _not_json(encoded)
    for name in (*MASS_ASSIGNMENT, "roles", "all"):
        if name not in fields:
            body = json.dumps(sample | {name: True}).encode()
            yield _invalid(f"unknown field {name}", body, name)
    for name, schema in fields.items():
        yield from _bad_values(sample, name, schema)


def _not_an_object(encoded: bytes) -> Iterator[Bad]:
    for name, body in (
        ("an array", b"[" + encoded + b"]"),
        ("a string", b'"x"'),
        ("null", b"null"),
        ("truncated", encoded[:-1]),
        ("followed by more", encoded + encoded),
        ("a key twice", encoded[:-1] + b"," + encoded[1:]),
        ("not UTF-8", encoded[:-1] + b',"x":"\xff"}'),
        ("NaN", encoded[:-1] + b',"x":NaN}'),
        ("deep arrays", b"[" * _DEEP),
        ("deep objects", b'{"x":' * _DEEP),
        ("UTF-16", encoded.decode().encode("utf-16")),
    ):
        yield Bad(name=name, body=body, code="malformed_body")


def _not_json(encoded: bytes) -> Iterator[Bad]:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        name = f"media type {media_type or 'missing'}"
        code = "unsupported_media_type"
        yield Bad(name=name, body=encoded, media_type=media_type, status=415, code=code)
    large = json.dumps({"x": "x" * _TOO_LARGE}).encode()
    yield Bad(name="too large", body=large, status=413, code="payload_too_large")


def _bad_values(sample: Mapping[str, Any], name: str, schema: Mapping[str, Any]) -> Iterator[Bad]:
    values: dict[str, Any] = {"wrong type": {"$ne": 1}, "a number": 1e300}
    if schema["type"] == "string":
        values |= {"NUL": "a\0b", "line break": "a\r\nb", "escape": "\x1b[31m", "half": "\ud800"}
    for what, value in values.items():
        body = json.dumps(dict(sample) | {name: value}).encode()
        yield _invalid(f"{what} for {name}", body, name)


def _invalid(name: str, body: bytes, field: str) -> Bad:
    return Bad(name=name, body=body, code="invalid_input", pointer=f"/{field}")


def bad_forms(operation: Operation) -> Iterator[Bad]:
    """Make bad forms for an operation of OAuth, sent by a client that proves itself by header."""
    content = operation.document["requestBody"]["content"][FORM]
    schema = _DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    required = schema["required"]
    many = b"&".join(b"p%d=1" % number for number in range(_MANY))
    for name, body in (
        ("empty", b""),
        *((f"no {name}", b"x=1") for name in required),
        *((f"empty {name}", name.encode() + b"=") for name in required),
        *((f"{name} twice", b"token=a&%b=x&%b=x" % ((name.encode(),) * 2)) for name in _FIELDS),
        ("no pairs", b"token"),
        ("JSON", b'{"token":"x"}'),
        ("not UTF-8", b"token=a\xff"),
        ("not UTF-8, encoded", b"token=%ff"),
        ("NUL", b"token=a%00b"),
        ("line break", b"token=a%0d%0ab"),
        ("escape", b"token=%1b%5b31m"),
        ("many parameters", b"token=a&" + many),
        ("two ways to prove a client", b"token=a&client_secret=x"),
        ("two clients", b"token=a&client_id=somebody"),
    ):
        yield Bad(name=name, body=body, media_type=FORM, code="invalid_request")
    yield Bad(name="in the query", media_type=FORM, query="token=x", code="invalid_request")
    yield from _no_form()


def _no_form() -> Iterator[Bad]:
    for media_type in (JSON, "text/plain", "multipart/form-data; boundary=x", ""):
        name, code = f"media type {media_type or 'missing'}", "unsupported_media_type"
        yield Bad(name=name, body=b"token=x", media_type=media_type, status=415, code=code)
    large = b"token=" + b"x" * _TOO_LARGE
    yield Bad(name="large", body=large, media_type=FORM, status=413, code="payload_too_large")


def bad_queries(operation: Operation) -> Iterator[Bad]:
    """Make bad query strings for an operation that takes parameters."""
    yield _refused_query("nothing", "nothing=1")
    for name, schema in operation.parameters.items():
        yield _refused_query(name, f"{name}=a&{name}=b")
        yield _refused_query(name, f"{name}=a%00b")
        yield from (_refused_query(name, f"{name}={value}") for value in _bad_texts(name, schema))


def _bad_texts(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in schema or name == "cursor":
        yield "nothing!"
    if schema.get("format") in ("uuid", "date-time"):
        yield "1"
    if schema.get("type") == "integer":
        yield from ("x", "", "1.5")
        yield from (str(schema[end] + step) for end, step in _BEYOND if end in schema)
    if "maxLength" in schema:
        yield "a" * (schema["maxLength"] + 1)
    if "pattern" in schema:
        yield "A B"


def _refused_query(name: str, query: str) -> Bad:
    return Bad(name=query[:40], query=query, code="invalid_input", pointer=f"/{name}")


def _plain(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *schema* without the indirections: a reference, or a choice that allows null."""
    if "anyOf" in schema:
        return _plain(schema["anyOf"][0])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _plain(_DOCUMENT["components"]["schemas"][name])
    return schema


def _sample(schema: Mapping[str, Any]) -> Any:
    if schema["type"] == "string":
        return "a@example.com" if schema.get("format") == "email" else "abc"
    return {"integer": 1, "number": 1, "boolean": False, "array": [], "object": {}}[schema["type"]]
