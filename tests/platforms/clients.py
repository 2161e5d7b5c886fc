"""A confidential client of a platform: it is in its OAUTH_CLIENTS_FILE, and asks from outside."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from services.token.domain.clients import ClientSecret, SecretDigest

CLIENT_ID = "resource-server"
ADDRESS = "198.51.100.17"

_FILE = """
[[client]]
client_id = "{client_id}"
name = "A resource server"
secrets = ["{digest}"]
audiences = ["gatehouse"]
introspect = ["access_token", "refresh_token"]
revoke = true
"""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Somebody with a secret; calls count against an address of its own."""

    secret: str = field(repr=False)

    @classmethod
    def registered(cls, file: Path) -> Self:
        """Make the only client of *file*."""
        secret = ClientSecret.new()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_FILE.format(client_id=CLIENT_ID, digest=SecretDigest.of(secret)))
        return cls(secret.text)

    @property
    def auth(self) -> httpx.BasicAuth:
        """Return what makes a request its own."""
        return httpx.BasicAuth(CLIENT_ID, self.secret)

    async def introspect(self, base_url: str, token: str) -> dict[str, Any]:
        """Ask about a token."""
        answer = await self.post(base_url, "/oauth2/introspect", token)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def revoke(self, base_url: str, token: str) -> None:
        """Revoke a token."""
        answer = await self.post(base_url, "/oauth2/revoke", token)
        assert answer.is_success, answer.text

    async def post(self, base_url: str, path: str, token: str) -> httpx.Response:
        """Send a token."""
        headers = {"X-Forwarded-For": ADDRESS}
        async with httpx.AsyncClient(base_url=base_url, timeout=30, headers=headers) as client:
            return await client.post(path, data={"token": token}, auth=self.auth)
