"""An attacker at the gateway: any number of addresses and programs."""

from typing import Any, Self

import httpx


class Attacker:
    """Sends requests from chosen addresses; the platform under test trusts 127.0.0.1 as a proxy."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=base_url, timeout=30)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def login(
        self, username: str, password: str, *, address: str, agent: str = "attack/1.0"
    ) -> httpx.Response:
        """Try one name with one password."""
        headers = {"X-Forwarded-For": address, "User-Agent": agent}
        body = {"username": username, "password": password}
        return await self._client.post("/api/v1/auth/login", json=body, headers=headers)

    async def knock(self, *, address: str) -> tuple[int, Any]:
        """Ask for something public; return status and problem code, if any."""
        headers = {"X-Forwarded-For": address}
        answer = await self._client.get("/api/v1/auth/password-policy", headers=headers)
        return answer.status_code, answer.json().get("code")
