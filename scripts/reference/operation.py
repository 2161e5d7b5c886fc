"""What is said of an endpoint by hand; all else is read from the code and routes.toml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from chassis.errors import Problem

JSON = ("application/json",)
HTML = ("text/html",)
FORM = "application/x-www-form-urlencoded"
NDJSON = ("application/x-ndjson",)
EXPORT = ("application/x-ndjson", "text/csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One successful answer; without a model it is empty, or text where *media* says so.

    *many* makes it a JSON array of the model; *or_model* is the body in browser mode, where that
    is another.
    """

    text: str
    model: type[BaseModel] | None = None
    or_model: type[BaseModel] | None = None
    media: tuple[str, ...] = JSON
    many: bool = False
    example: Mapping[str, Any] | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, named as routes.toml names it.

    *problems* are those of its own: what holds for every body, token, role and limit is added.
    *headers* names request headers of `components/parameters`. With *by_client* a confidential
    client calls it, and no user.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    text: str = ""
    body: type[BaseModel] | None = None
    body_required: bool = True
    body_media: str = "application/json"
    query: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    by_client: bool = False
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: tuple[type[Problem], ...] = ()

    @property
    def models(self) -> tuple[tuple[type[BaseModel], str], ...]:
        """Return the models it needs, each with pydantic's mode: what comes in, what goes out."""
        into = [(model, "validation") for model in (self.body, self.query) if model]
        answers = self.answers.values()
        out = [(m, "serialization") for a in answers for m in (a.model, a.or_model) if m]
        return (*into, *out)
