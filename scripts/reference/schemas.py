"""Schemas and parameters from the pydantic models of the services."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

_TEMPLATE = "#/components/schemas/{model}"


class _Plain(GenerateJsonSchema):
    """Without a title for every field: it would only repeat the name."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | Any) -> bool:
        del schema
        return False


class Schemas:
    """The schemas of all models by their names; those of queries become parameters."""

    def __init__(self, models: Iterable[tuple[type[BaseModel], Any]]) -> None:
        wanted = list(dict.fromkeys(models))
        references, rest = models_json_schema(
            wanted, ref_template=_TEMPLATE, schema_generator=_Plain
        )
        self._definitions: dict[str, Any] = rest["$defs"]
        self._references = {model: value for (model, _), value in references.items()}
        self._queries: set[str] = set()

    @property
    def components(self) -> dict[str, JsonSchemaValue]:
        """Return what stands in `components/schemas`."""
        return {
            name: _without_title(schema)
            for name, schema in sorted(self._definitions.items())
            if name not in self._queries
        }

    def reference(self, model: type[BaseModel]) -> JsonSchemaValue:
        """Return where the schema of *model* is."""
        return self._references[model]

    def parameters(self, query: type[BaseModel]) -> list[dict[str, Any]]:
        """Return the fields of *query* as parameters, under the names callers use."""
        name = self._references[query]["$ref"].rpartition("/")[2]
        self._queries.add(name)
        schema = self._definitions[name]
        required = schema.get("required", ())
        return [
            {"name": field, "in": "query", "required": field in required, "schema": _given(value)}
            for field, value in schema["properties"].items()
        ]


def _without_title(schema: JsonSchemaValue) -> JsonSchemaValue:
    return {name: value for name, value in schema.items() if name != "title"}


def _given(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Return the schema of a parameter that is there: a query string holds no null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {k: v for k, v in schema.items() if k != "anyOf" and (k, v) != ("default", None)}
    return {**kinds[0], **rest}
