"""A person at the gateway: an own address, an own browser, and the calls of the README."""

import itertools
from collections.abc import Mapping
from typing import Any, Self
from uuid import uuid4

import httpx

from tests.platforms.mailbox import Mailbox, wait_for_mail

PASSWORD = "Correct-Horse-7-Battery"
NEW_PASSWORD = "Another-Staple-8-Shore"

_addresses = itertools.count(1)


class Person:
    """Somebody who uses the public API from an address of their own.

    The platform under test trusts 127.0.0.1 as a proxy, so that every person counts against an own
    rate limit.
    """

    def __init__(self, base_url: str, mailbox: Mailbox, *, name: str | None = None) -> None:
        self.username = name or f"p{uuid4().hex[:12]}"
        self.email = f"{self.username}@example.com"
        self.password = PASSWORD
        number = next(_addresses)
        self.address = f"198.{18 + number // 65536 % 2}.{number // 256 % 256}.{number % 256}"
        self._mailbox = mailbox
        self._client = httpx.AsyncClient(
            base_url=base_url, timeout=30, headers={"X-Forwarded-For": self.address}
        )
        self.tokens: dict[str, Any] = {}
        self.user_id: str = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request, with a bearer token when one is given."""
        headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        if body is None:
            return await self._client.request(method, path, headers=headers)
        return await self._client.request(method, path, json=body, headers=headers)

    async def send(self, path: str, body: bytes, media_type: str) -> httpx.Response:
        """POST these bytes as they are."""
        return await self._client.post(path, content=body, headers={"Content-Type": media_type})

    async def register(self) -> httpx.Response:
        """Ask for an account."""
        body = {"email": self.email, "username": self.username, "password": self.password}
        response = await self.call("POST", "/api/v1/auth/register", body)
        if response.is_success:
            self.user_id = response.json()["id"]
        return response

    async def verify(self) -> httpx.Response:
        """Open the mailed link and press its button."""
        mail = await wait_for_mail(self._mailbox, self.email, containing="verify-email")
        return await self.call("POST", "/api/v1/auth/email/verify", {"token": mail.token})

    async def login(self, password: str | None = None) -> httpx.Response:
        """Ask for tokens, and keep them."""
        body = {"username": self.username, "password": password or self.password}
        response = await self.call("POST", "/api/v1/auth/login", body)
        if response.is_success:
            self.tokens = response.json()
        return response

    async def join(self) -> None:
        """Register, verify and log in; each must work."""
        for step in (self.register, self.verify, self.login):
            response = await step()
            assert response.is_success, (step.__name__, response.status_code, response.text)

    async def me(self, token: str | None = None) -> httpx.Response:
        """Ask for the own profile."""
        return await self.call("GET", "/api/v1/users/me", token=token or self.access_token)

    async def refresh(self, refresh_token: str | None = None) -> httpx.Response:
        """Ask for new tokens, and keep them."""
        body = {"refresh_token": refresh_token or self.tokens["refresh_token"]}
        response = await self.call("POST", "/api/v1/auth/refresh", body)
        if response.is_success:
            self.tokens |= response.json()
        return response

    async def ask_for_reset(self) -> httpx.Response:
        """Ask for a reset link."""
        return await self.call("POST", "/api/v1/auth/password-reset", {"email": self.email})

    async def reset(self, new_password: str = NEW_PASSWORD) -> httpx.Response:
        """Take the newest reset mail and set a new password."""
        mail = await wait_for_mail(self._mailbox, self.email, containing="reset-password")
        body = {"token": mail.token, "new_password": new_password}
        response = await self.call("POST", "/api/v1/auth/password-reset/verify", body)
        if response.is_success:
            self.password = new_password
        return response

    @property
    def access_token(self) -> str:
        """Return the access token of the last login or refresh."""
        return str(self.tokens["access_token"])
