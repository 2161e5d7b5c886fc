"""A browser on a page of the platform's own origin: it keeps cookies, and says where it is."""

from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

import httpx

from tests.platforms.person import Person

KINDS = ("access", "refresh", "csrf", "device")


class Browser:
    """What *person* sits in front of; *origin* is that of PUBLIC_BASE_URL.

    It is on plain http, so the cookies' names have no `__Host-`.
    """

    def __init__(self, base_url: str, origin: str, person: Person) -> None:
        self.person = person
        self.origin = origin
        self.session_id = ""
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=30,
            headers={"X-Forwarded-For": person.address, "User-Agent": "Mozilla/5.0 (X11) Test/1"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @property
    def page(self) -> dict[str, str]:
        """Return what a browser says of a request by a page of ours."""
        return {"Sec-Fetch-Site": "same-origin", "Origin": self.origin}

    def cookie(self, kind: str) -> str | None:
        """Return what a cookie of the platform holds."""
        return self._client.cookies.get(f"gatehouse-{kind}")

    def cookies(self) -> dict[str, str]:
        """Return the cookies of the platform that are there."""
        return {kind: value for kind in KINDS if (value := self.cookie(kind))}

    def plant(self, kind: str, value: str | None) -> None:
        """Put a cookie into the jar, or take it out."""
        name, domain = f"gatehouse-{kind}", urlsplit(str(self._client.base_url)).hostname or ""
        if self.cookie(kind) is not None:
            self._client.cookies.delete(name)
        if value is not None:
            self._client.cookies.set(name, value, domain=domain, path="/")

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        site: Mapping[str, str] | None = None,
        csrf: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask as a page of ours does, which copies the cookie; empty *csrf* sends no token."""
        sent = {**(self.page if site is None else site), **(headers or {})}
        token = self.cookie("csrf") if csrf is None else csrf
        if token:
            sent["X-CSRF-Token"] = token
        return await self._client.request(method, path, json=body, headers=sent)

    async def login(self, password: str | None = None) -> httpx.Response:
        """Log in."""
        body = {
            "username": self.person.username,
            "password": password or self.person.password,
        }
        mode = {"Gatehouse-Mode": "browser"}
        response = await self.call("POST", "/api/v1/auth/login", body, headers=mode)
        if response.is_success:
            self.session_id = response.json()["session_id"]
        return response

    async def me(self) -> httpx.Response:
        """Ask for the own profile."""
        return await self.call("GET", "/api/v1/users/me")

    async def rename(self, name: str, **how: str | Mapping[str, str]) -> httpx.Response:
        """Change the own name: something that leaves a trace."""
        return await self.call("PATCH", "/api/v1/users/me", {"username": name}, **how)  # type: ignore[arg-type]  # call's own keywords

    async def refresh(self) -> httpx.Response:
        """Refresh."""
        return await self.call("POST", "/api/v1/auth/refresh")

    async def logout(self) -> httpx.Response:
        """Log out."""
        return await self.call("POST", "/api/v1/auth/logout")
