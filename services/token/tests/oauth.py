"""Confidential clients as tests need them: a file of some, and their requests."""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.token.domain.clients import ClientSecret, SecretDigest
from services.token.tests.kit import MIGRATIONS, World, run_world

INTROSPECT, REVOKE = "/oauth2/introspect", "/oauth2/revoke"
FORM = {"content-type": "application/x-www-form-urlencoded"}
KNOWN = {
    "orders": 'introspect = ["access_token"]',
    "helpdesk": 'introspect = ["access_token", "refresh_token"]\nrevoke = true',
    "sweeper": "revoke = true",
    "stranger": 'audiences = ["elsewhere"]\nintrospect = ["access_token"]\nrevoke = true',
}
"""Clients by their ids, and what each may do."""


def entry(client_id: str, rights: str, secrets: Sequence[ClientSecret]) -> str:
    """Write one client as it stands in the file."""
    digests = [str(SecretDigest.of(secret)) for secret in secrets]
    audiences = "" if "audiences" in rights else '\naudiences = ["gatehouse"]'
    head = f'[[client]]\nclient_id = "{client_id}"\nname = "The {client_id}"'
    return f"{head}\nsecrets = {digests}{audiences}\n{rights}\n"


def basic(client_id: str, secret: str) -> dict[str, str]:
    """Return the header of client_secret_basic."""
    return {"authorization": f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"}


@dataclass(slots=True)
class Office:
    """A running service and its clients, with one secret each."""

    world: World
    secrets: Mapping[str, ClientSecret]

    async def post(
        self,
        path: str,
        form: Mapping[str, str] | bytes,
        headers: Mapping[str, str] | None = None,
        *,
        address: str = "192.0.2.1",
    ) -> httpx.Response:
        """Send a form as the gateway forwards it."""
        content = form if isinstance(form, bytes) else urlencode(form).encode()
        given = {**FORM, **(headers or {})}
        return await self.world.send("POST", path, content=content, headers=given, address=address)

    def proof(self, client_id: str) -> dict[str, str]:
        """Return the header by which a client proves itself."""
        return basic(client_id, self.secrets[client_id].text)

    async def ask(self, token: str, client_id: str = "helpdesk", **form: str) -> dict[str, Any]:
        """Introspect a token; the answer must be 200."""
        answer = await self.post(INTROSPECT, {"token": token, **form}, self.proof(client_id))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def revoke(self, token: str, client_id: str = "helpdesk", **form: str) -> httpx.Response:
        """Revoke a token."""
        return await self.post(REVOKE, {"token": token, **form}, self.proof(client_id))


@asynccontextmanager
async def run_office(
    make_database: MakeDatabase, clock: FixedClock, folder: Path, **overrides: Any
) -> AsyncIterator[Office]:
    """Run a service with the known clients and one user."""
    secrets = {client_id: ClientSecret.new() for client_id in KNOWN}
    file = folder / "clients.toml"
    file.write_text("\n".join(entry(name, KNOWN[name], [secrets[name]]) for name in KNOWN))
    database = await make_database("token", MIGRATIONS)
    async with run_world(database, clock, oauth_clients_file=file, **overrides) as world:
        world.identity.register()
        yield Office(world, secrets)
