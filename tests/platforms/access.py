"""Who may call what: the table of tests/e2e/access.toml, tried at a running platform.

`python -m tests.platforms.access` starts a platform of its own and prints what came back.
"""

import asyncio
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from chassis.testing import eventually
from gateway.settings import GatewaySettings
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.single import SingleProcess

FILE = Path(__file__).parent.parent / "e2e" / "access.toml"
CALLERS = ("nobody", "user", "moderator", "admin", "disabled")
RELAXED = {
    **{name.upper(): "99999/minute" for name in GatewaySettings.model_fields if "rate_l" in name},
    "MAX_SESSIONS_PER_USER": "0",
}
"""Settings under which one caller may ask as often as a table needs."""

NOBODYS_ID = str(UUID("00000000-0000-4000-8000-000000000000"))


@dataclass(frozen=True, slots=True)
class Call:
    """One row: a method of a path as routes.toml names it, and what each caller gets."""

    method: str
    path: str
    statuses: Mapping[str, int]
    body: str = "{}"

    @property
    def target(self) -> str:
        """Return the path with nobody's id in it."""
        return re.sub(r"\{[a-z_]+(\.\.\.)?\}", NOBODYS_ID, self.path)


def read_table() -> tuple[Call, ...]:
    """Return the rows of the file."""
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(_calls(document["calls"], document["bodies"]))


def send(client: httpx.Client, call: Call, token: str | None) -> httpx.Response:
    """Make the harmless call of one row."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if call.method in ("GET", "HEAD"):
        return client.request(call.method, call.target, headers=headers)
    headers["Content-Type"] = "application/json"
    return client.request(call.method, call.target, headers=headers, content=call.body)


async def tokens_of_callers(platform: Platform) -> dict[str, str | None]:
    """Make an account for each caller; return the access tokens."""
    tokens: dict[str, str | None] = {"nobody": None}
    async with platform.admin() as admin:
        tokens["admin"] = admin.access_token
        for name in ("user", "moderator", "disabled"):
            async with platform.person() as person:
                await person.join()
                if name == "moderator":
                    await promote(admin, person, "moderator")
                if name == "disabled":
                    await _disable(admin, person)
                tokens[name] = person.access_token
    return tokens


async def promote(admin: Person, person: Person, role: str) -> None:
    """Give *person* a role and a token that has it."""
    path = f"/api/v1/admin/users/{person.user_id}/roles"
    answer = await admin.call("PUT", path, {"roles": [role]}, token=admin.access_token)
    assert answer.is_success, answer.text
    assert (await person.login()).is_success


async def _disable(admin: Person, person: Person) -> None:
    path = f"/api/v1/admin/users/{person.user_id}/disable"
    answer = await admin.call("POST", path, token=admin.access_token)
    assert answer.is_success, answer.text

    async def refused() -> bool:
        return (await person.me()).status_code == httpx.codes.UNAUTHORIZED

    await eventually(refused)


def _calls(statuses: Mapping[str, list[int]], bodies: Mapping[str, str]) -> Iterator[Call]:
    for name, row in statuses.items():
        method, path = name.split()
        yield Call(method, path, dict(zip(CALLERS, row, strict=True)), bodies.get(name, "{}"))


def main() -> int:
    """Print the table as the platform answers it; return how many cells differ from the file."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        platform = SingleProcess(Path(folder), RELAXED)
        platform.start()
        try:
            tokens = asyncio.run(tokens_of_callers(platform))
            sys.stdout.write(f"{'':58}{''.join(f'{name:>11}' for name in CALLERS)}\n")
            with httpx.Client(base_url=platform.base_url, timeout=30) as client:
                for call in read_table():
                    got = {name: send(client, call, tokens[name]).status_code for name in CALLERS}
                    wrong += sum(got[name] != call.statuses[name] for name in CALLERS)
                    cells = "".join(f"{status:>11}" for status in got.values())
                    sys.stdout.write(f"{call.method + ' ' + call.path:58}{cells}\n")
        finally:
            platform.stop()
    sys.stdout.write(f"{len(read_table()) * len(CALLERS)} cells, {wrong} not as expected\n")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
