"""Settings: environment variables or mounted files, typed, complete, complaints all at once."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from chassis.crypto import parse_keys
from chassis.networks import Network, parse_networks

EX_CONFIG = 78
"""Exit code of a process whose configuration is wrong (sysexits.h)."""

S = TypeVar("S", bound="Settings")


def _keys(value: object) -> object:
    return parse_keys(value) if isinstance(value, str) else value


KeyList = Annotated[
    tuple[bytes, ...], NoDecode, BeforeValidator(_keys), Field(repr=False, min_length=1)
]
"""A comma separated list of base64url secrets of ≥ 32 bytes: the first signs or encrypts, all
verify or decrypt, so that each can be rotated without downtime."""


def _networks(value: object) -> object:
    return parse_networks(value) if isinstance(value, str) else value


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
"""A comma separated list of addresses and CIDR blocks."""


class _FileSource(EnvSettingsSource):
    """Read NAME from the file that NAME_FILE points at (mounted secrets)."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the file's text without its last line break, or what EnvSettingsSource finds."""
        path = self.env_vars.get(f"{self.config.get('env_prefix', '')}{field_name}_file".lower())
        if not path:
            return super().get_field_value(field, field_name)
        value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        return value, field_name, self.field_is_complex(field)


class Settings(BaseSettings):
    """Base of every deployable's settings. A field's name in capitals is its variable."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take constructor arguments first, then the environment with its files."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _FileSource(settings_cls)


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
    lines = []
    for name in settings.model_fields:
        variable = f"{name.upper()}_FILE"
        path = environ.get(variable)
        if not path:
            continue
        try:
            Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            lines.append(f"{variable}: cannot be read ({type(error).__name__})")
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
    given = {name.upper() for name, value in os.environ.items() if value}
    for name in needs:
        if not {name.upper(), f"{name.upper()}_FILE"} & given:
            lines.append(f"{name.upper()}: is not set")
    try:
        return settings(**overrides), lines
    except ValidationError as error:
        return None, lines + complaints(error)
    except SettingsError as error:
        # An unreadable file is named above; pydantic names the field of anything else.
        return None, lines or [str(error)]


def refused(lines: list[str]) -> SystemExit:
    """Print the complaints about the configuration and return the exit (78) to raise."""
    sys.stderr.write("The configuration is not complete:\n")
    sys.stderr.writelines(f"  {line}\n" for line in lines)
    return SystemExit(EX_CONFIG)
