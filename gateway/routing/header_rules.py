"""What a route changes in the headers of requests and answers: a few names, set or removed.

What frames a message, says who calls or speaks for the whole host is the gateway's own and no
route's to change.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.header_names import (
    DROPPED_FROM_ANSWERS,
    FOR_THE_WHOLE_HOST,
    FRAMING,
    HOP_BY_HOP,
    is_identity,
)

_MAX_CHANGES = 32

# RFC 9110 §5.6.2: token. §5.5: a value of visible characters and blanks within.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,2046}[\x21-\x7e])?")
_OURS = re.compile(r"gatehouse(-.*)?|ratelimit(-.*)?|x-csrf-token|authorization")


def alike(name: str) -> str:
    """Return the one form of names that some frameworks take for the same (`x_a`, `x-a`)."""
    return name.replace("_", "-")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a header")
    name = alike(text.lower())
    if name in HOP_BY_HOP | FRAMING or is_identity(name) or _OURS.fullmatch(name):
        raise ValueError(f"{text} is the gateway's own to write")
    return text.lower()


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError("is not a header's value: visible ASCII, blanks within, up to 2048")
    return text


def _settable(values: Mapping[str, str]) -> dict[str, str]:
    named = {_name(name): value for name, value in values.items()}
    if len({alike(name) for name in named}) != len(values):
        raise ValueError("a header stands twice")
    for name in ("cookie", "set-cookie"):
        if name in named:
            raise ValueError(f"{name} can only be removed: the platform's cookies travel in it")
    return named


Name = Annotated[str, AfterValidator(_name)]
Value = Annotated[str, AfterValidator(_value)]


class HeaderChanges(BaseModel):
    """What one direction sets (in place of what was there) and removes; names in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: Annotated[dict[str, Value], Field(max_length=_MAX_CHANGES), AfterValidator(_settable)] = (
        Field(default_factory=dict)
    )
    remove: Annotated[tuple[Name, ...], Field(max_length=_MAX_CHANGES)] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """Return every name that does not pass as it came, as `alike` gives it."""
        return frozenset(alike(name) for name in (*self.set, *self.remove))

    def drops(self, name: str) -> bool:
        """Say whether a header called *name* (lower case) goes no further."""
        return bool(self.names) and alike(name) in self.names

    @cached_property
    def encoded(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return what is set, as raw headers."""
        return tuple((name.encode(), value.encode()) for name, value in self.set.items())


class HeaderRules(BaseModel):
    """What a route changes on the way to its upstream and on the way back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: HeaderChanges = HeaderChanges()
    response: HeaderChanges = HeaderChanges()

    @property
    def changes(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self.request.names or self.response.names)

    @model_validator(mode="after")
    def _for_this_host_alone(self) -> Self:
        refused = self.response.names & (DROPPED_FROM_ANSWERS | FOR_THE_WHOLE_HOST)
        if refused:
            raise ValueError(f"response: {min(refused)} is the gateway's own to write")
        return self
