"""Settings: environment variables or mounted files, typed, complete, complaints all at once."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from chassis.crypto import parse_keys
from chassis.networks import Network, parse_networks

EX_CONFIG = 78
"""Exit code of a process whose configuration is wrong (sysexits.h)."""

S = TypeVar("S", bound="Settings")


def _keys(value: object) -> object:
    return parse_keys(value) if isinstance(value, str) else value


KeyList = Annotated[tuple[bytes, ...], BeforeValidator(_keys), Field(repr=False, min_length=1)]
"""A comma separated list of base64url secrets of ≥ 32 bytes: the first signs or encrypts, all
verify or decrypt, so that each can be rotated without downtime."""


def _networks(value: object) -> object:
    return parse_networks(value) if isinstance(value, str) else value


Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
"""A comma separated list of addresses and CIDR blocks."""


class Settings(BaseModel):
    """Base of every deployable's settings. A field's name in capitals is its variable."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", validate_default=True, arbitrary_types_allowed=True
    )

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Take what is *given*, and the rest from the environment. Raises ValidationError.

        Processes use `load`, which also refuses a file that cannot be read.
        """
        return cls(**(_environment(cls) | given))


def _environment(settings: type[Settings]) -> dict[str, str]:
    """Return what the variables say, or the files (mounted secrets) that NAME_FILE points at.

    A file that cannot be read says nothing (`unreadable_files`), nor does an empty variable.
    """
    variables = _variables(os.environ)
    found = {}
    for name in settings.model_fields:
        path = variables.get(f"{name}_file")
        if path:
            with suppress(OSError, UnicodeDecodeError):
                found[name] = _text(path)
        elif name in variables:
            found[name] = variables[name]
    return found


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those that are not empty; upper and lower case make no difference."""
    return {name.lower(): value for name, value in environ.items() if value}


def _text(path: str) -> str:
    """Return the file's text without its last line break. Raises OSError, UnicodeDecodeError."""
    return Path(path).read_text(encoding="utf-8").rstrip("\r\n")


class ProcessSettings(Settings):
    """What every process of the platform is told."""

    environment: Literal["production", "development"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    ops_host: str = "127.0.0.1"
    ops_port: int = Field(ge=0, le=65535)
    drain_delay_seconds: float = Field(default=0.0, ge=0, le=120)
    drain_timeout_seconds: float = Field(default=25.0, gt=0, le=600)
    rabbitmq_url: SecretStr | None = None


class ServiceSettings(ProcessSettings):
    """What a service with a database is told; `database_owner_url` only serves `migrate`."""

    database_url: SecretStr
    database_owner_url: SecretStr | None = None
    database_pool_min: int = Field(default=5, ge=1, le=100)
    database_pool_max: int = Field(default=20, ge=1, le=200)
    assertion_secrets_from_gateway: KeyList


def complaints(error: ValidationError, *, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return one line per setting that is wrong, naming the variable and never its value."""
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        name = str(item["loc"][0]).upper() if item["loc"] else "settings"
        shown = f"{name}_FILE" if f"{name}_FILE" in environ else name
        problem = "is not set" if item["type"] == "missing" else item["msg"]
        lines.append(f"{shown}: {problem}")
    return lines


def unreadable_files(settings: type[Settings], *, environ: Mapping[str, str]) -> list[str]:
    """Return one line per NAME_FILE that cannot be read."""
    variables = _variables(environ)
    lines = []
    for name in settings.model_fields:
        path = variables.get(f"{name}_file")
        if not path:
            continue
        try:
            _text(path)
        except (OSError, UnicodeDecodeError) as error:
            lines.append(f"{name.upper()}_FILE: cannot be read ({type(error).__name__})")
    return lines


def find_complaints(
    settings: type[Settings], overrides: Mapping[str, Any], *, needs: Sequence[str] = ()
) -> list[str]:
    """Return everything that is wrong with *settings* as the environment gives them.

    *needs* names optional settings that this way of running cannot do without.
    """
    return _read(settings, overrides, needs=needs)[1]


def load(settings: type[S], *, needs: Sequence[str] = (), **overrides: Any) -> S:
    """Read *settings*; when anything is wrong print every complaint and exit 78."""
    read, lines = _read(settings, overrides, needs=needs)
    if read is None or lines:
        raise refused(lines)
    return read


def _read(
    settings: type[S], overrides: Mapping[str, Any], *, needs: Sequence[str]
) -> tuple[S | None, list[str]]:
    """Return the settings, unless they are incomplete, and everything that is wrong."""
    lines = unreadable_files(settings, environ=os.environ)
    variables = _variables(os.environ)
    for name in needs:
        if not {name, f"{name}_file"} & variables.keys():
            lines.append(f"{name.upper()}: is not set")
    try:
        return settings.read(**overrides), lines
    except ValidationError as error:
        told = {line.partition(":")[0] for line in lines}  # what cannot be read is not set either
        return None, lines + [c for c in complaints(error) if c.partition(":")[0] not in told]


def refused(lines: list[str]) -> SystemExit:
    """Print the complaints about the configuration and return the exit (78) to raise."""
    sys.stderr.write("The configuration is not complete:\n")
    sys.stderr.writelines(f"  {line}\n" for line in lines)
    return SystemExit(EX_CONFIG)
