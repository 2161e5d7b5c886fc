"""The file of confidential clients that `OAUTH_CLIENTS_FILE` names, read once at the start.

One table per client; `python -m services.token clients new NAME` writes it:

    [[client]]
    client_id = "orders-api"
    name = "Orders API"
    secrets = ["sha256:…:…"]          # digests, each of a secret that works
    audiences = ["gatehouse"]         # whose tokens it may see and revoke
    introspect = ["access_token"]     # kinds it may ask about; "refresh_token" is the other
    revoke = true
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from services.token.domain.clients import SECRET_PREFIX, Client, SecretDigest, TokenKind

CLIENT_ID = r"[a-z0-9][a-z0-9._-]{1,63}"
MAX_SECRETS = 5
NEW_SECRET = "python -m services.token clients secret"

Clients = Mapping[str, Client]
"""Clients by their ids."""


class ClientsInvalid(Exception):  # noqa: N818 - said of the file
    """The file does not hold; `lines` says everything that is wrong, and never a secret."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


def load_clients(path: Path) -> Clients:
    """Read the clients of the file at *path*. Raises ClientsInvalid."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ClientsInvalid([_line(path, f"cannot be read ({type(error).__name__})")]) from None
    except tomllib.TOMLDecodeError as error:
        raise ClientsInvalid([_line(path, str(error))]) from None
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        raise ClientsInvalid([_line(path, text) for text in _texts(error, document)]) from None
    clients = [entry.client() for entry in file.client]
    ids = [client.client_id for client in clients]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise ClientsInvalid([_line(path, f"client_id {one} stands twice") for one in twice])
    return {client.client_id: client for client in clients}


def _digest(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith(SECRET_PREFIX):
        raise ValueError(f"holds a secret, not its digest: replace it ({NEW_SECRET})")
    try:
        return SecretDigest.parse(value)
    except ValueError as error:
        raise ValueError(f"{error}: `{NEW_SECRET}` makes one") from None


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


_Audience = Annotated[str, Field(min_length=1, max_length=255)]
_Digest = Annotated[SecretDigest, BeforeValidator(_digest)]


class _Entry(BaseModel):
    """One client."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True
    )

    client_id: Annotated[str, Field(pattern=rf"^{CLIENT_ID}$")]
    name: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable)]
    secrets: Annotated[list[_Digest], Field(min_length=1, max_length=MAX_SECRETS)]
    audiences: Annotated[list[_Audience], Field(min_length=1)]
    introspect: list[TokenKind] = []
    revoke: bool = False

    @model_validator(mode="after")
    def _some_right(self) -> Self:
        if not self.introspect and not self.revoke:
            raise ValueError("may do nothing: give it introspect, or revoke = true")
        return self

    def client(self) -> Client:
        """Return the client this entry describes."""
        return Client(
            client_id=self.client_id,
            name=self.name,
            digests=tuple(self.secrets),
            audiences=frozenset(self.audiences),
            introspects=frozenset(self.introspect),
            revokes=self.revoke,
        )


class _File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client: list[_Entry] = []


def _texts(error: ValidationError, document: Mapping[str, Any]) -> Iterator[str]:
    """Name the client and the field of each complaint, never a value."""
    for item in error.errors(include_input=False, include_url=False):
        where, *rest = item["loc"] or ("file",)
        if where == "client" and rest:
            where = _name(document["client"][rest.pop(0)], int(item["loc"][1]))
        place = ".".join(map(str, [where, *rest]))
        yield f"{place}: {item['msg'].removeprefix('Value error, ')}"


def _name(entry: object, index: int) -> str:
    """Return how a person finds the client: by its id, else by its place."""
    client_id = entry.get("client_id") if isinstance(entry, Mapping) else None
    known = f" ({client_id[:64]})" if isinstance(client_id, str) and client_id.isprintable() else ""
    return f"client {index + 1}{known}"


def _line(path: Path, text: str) -> str:
    return f"OAUTH_CLIENTS_FILE {path}: {text}"
