"""Rotate the signing keys again and again under load: no token may fail to verify.

    python -m bench.key_rotation_drill
    python -m bench.key_rotation_drill --rotations 5 --clients 16 --consumers 8

Starts five processes with RabbitMQ, Redis and a durable PostgreSQL. Sessions refresh and call a
service through the gateway, consumers verify each token on their own with a JWKS they keep as long
as `Cache-Control` allows, half of them from a shared cache; tokens are tried again as long as they
last (one minute here). Meanwhile an administrator asks for one rotation after the other. Clients
may keep the JWKS for 5 s instead of 5 min (bench.token_with_young_jwks), all stages follow from it.

At last the key is revoked: how long what it signed still passes, and whether every session goes on.
Exit code 1 when anything failed.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
import jwt

from bench.jwks_consumers import Consumer, Origin, consumers
from bench.load import Client
from bench.starting import five_processes, ground
from chassis.clock import SystemClock
from chassis.testing import eventually
from tests.platforms.crowd import Crowd
from tests.platforms.five import FiveProcesses
from tests.platforms.person import Person

_SETTINGS = {"ACCESS_TOKEN_EXPIRE_MINUTES": "1"}
_MODULES = {"token": "bench.token_with_young_jwks"}
_PRODUCT = "/api/v1/users/me"
_OK = 200
_PACE_SECONDS = 0.1
_AGAIN_EVERY_SECONDS = 1.0
_LAST_SECONDS = 2.0
_AFTER_SECONDS = 5.0


def main() -> None:
    """Run the drill and print what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.key_rotation_drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8, help="sessions")
    parser.add_argument("--consumers", type=int, default=6, help="verifiers of their own")
    arguments = parser.parse_args()
    print("starting the platform …", flush=True)
    with ground() as standing, five_processes(standing, _SETTINGS, modules=_MODULES) as (platform,):
        failed = asyncio.run(_drill(platform, arguments))
    sys.exit(1 if failed else 0)


@dataclass(slots=True)
class Tally:
    """What was tried since the last rotation, and what failed."""

    refreshes: Counter[int] = field(default_factory=Counter)
    calls: Counter[int] = field(default_factory=Counter)
    verified: int = 0
    kids: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Return how much went wrong."""
        statuses = self.refreshes + self.calls
        return len(self.failures) + statuses.total() - statuses[_OK]

    def line(self, name: str) -> str:
        """Return it in one line."""
        told = "" if not self.failures else f"; first: {self.failures[0]}"
        return (
            f"{name}: {self.refreshes.total()} refreshes, {self.calls.total()} calls through the"
            f" gateway, {self.verified} verifications, tokens of {len(self.kids)} keys:"
            f" {self.failed} failed{told}"
        )


class _Load:
    """Everybody at work, until `stop`."""

    def __init__(self, clients: list[Client], verifiers: list[Consumer]) -> None:
        self.tally = Tally()
        self.newest_kid = ""
        self._clients = clients
        self._verifiers = verifiers
        self._old: list[tuple[Client, dict[str, Any], float]] = []
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Work until stopped."""
        await asyncio.gather(self._try_again(), *(self._use(client) for client in self._clients))

    def stop(self) -> None:
        """Let everybody finish what they are at."""
        self._stopped.set()

    def take(self) -> Tally:
        """Return what was counted until now, and count anew."""
        taken, self.tally = self.tally, Tally()
        return taken

    async def _use(self, client: Client) -> None:
        number = 0
        while not self._stopped.is_set():
            self.tally.refreshes[await client.refresh()] += 1
            tokens = dict(client.tokens)
            self.newest_kid = jwt.get_unverified_header(tokens["access_token"])["kid"]
            await self._try(client, tokens)
            number += 1
            if number % 20 == 0:
                ends = time.monotonic() + tokens["expires_in"] - _LAST_SECONDS
                self._old.append((client, tokens, ends))
            await asyncio.sleep(_PACE_SECONDS)

    async def _try_again(self) -> None:
        while not self._stopped.is_set():
            self._old = [one for one in self._old if one[2] > time.monotonic()]
            for client, tokens, ends in self._old:
                if ends > time.monotonic():
                    await self._try(client, tokens)
            await asyncio.sleep(_AGAIN_EVERY_SECONDS)

    async def _try(self, client: Client, tokens: dict[str, Any]) -> None:
        """Use a token at the gateway, and have everybody verify it."""
        user = Client(client.http, client.base_url, client.address, tokens)
        self.tally.calls[await user.get(_PRODUCT)] += 1
        token = tokens["access_token"]
        self.tally.kids.add(jwt.get_unverified_header(token)["kid"])
        for verifier in self._verifiers:
            if await verifier.verify(token):
                self.tally.verified += 1
            else:
                self.tally.failures.append(verifier.failures[-1])


async def _drill(platform: FiveProcesses, arguments: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        crowd = await stack.enter_async_context(Crowd(platform))
        people = crowd.bring(arguments.clients)
        for step in (crowd.register, crowd.verify, crowd.log_in):
            await step(people)
        admin = await stack.enter_async_context(platform.admin())
        clients = [Client(http, platform.base_url, one.address, one.tokens) for one in people]
        origin = Origin(http, platform.base_url)
        load = _Load(clients, consumers(origin, number=arguments.consumers))
        working = asyncio.create_task(load.run())
        failed = 0
        for number in range(1, arguments.rotations + 1):
            failed += await _rotate(admin, load, f"rotation {number}")
        load.stop()
        await working
        failed += load.take().failed
        print(f"rotations: {arguments.rotations}, failed verifications and calls: {failed}")
        return failed + await _revoke(admin, clients)


async def _rotate(admin: Person, load: _Load, name: str) -> int:
    """Ask for a rotation, wait until the successor signs and for a while; return what failed."""
    wanted = await _ask(admin, "/api/v1/admin/keys/rotate")
    waiting = (datetime.fromisoformat(wanted["signs_at"]) - SystemClock().now()).total_seconds()
    print(f"{name}: {wanted['successor']} is published, signs in {waiting:.0f} s", flush=True)
    await eventually(lambda: load.newest_kid == wanted["successor"], within=waiting + 30)
    await asyncio.sleep(_AFTER_SECONDS)
    tally = load.take()
    print(tally.line(name), flush=True)
    return tally.failed


async def _revoke(admin: Person, clients: list[Client]) -> int:
    """Revoke the key that signs; return how many sessions did not survive it."""
    for client in clients:
        await client.refresh()
    kid = jwt.get_unverified_header(clients[0].tokens["access_token"])["kid"]
    await _ask(admin, f"/api/v1/admin/keys/{kid}/revoke", {"reason": "a drill"})
    answered = time.perf_counter()
    passing = [client for client in clients if await client.get(_PRODUCT) == _OK]
    while passing:
        passing = [client for client in passing if await client.get(_PRODUCT) == _OK]
    refused = (time.perf_counter() - answered) * 1000
    lost = 0
    for client in clients:
        goes_on = await client.refresh() == _OK and await client.get(_PRODUCT) == _OK
        lost += not goes_on
    print(
        f"revocation: every token refused {refused:.0f} ms after the answer,"
        f" {lost} of {len(clients)} sessions lost"
    )
    return lost


async def _ask(admin: Person, path: str, body: object = None) -> dict[str, Any]:
    await admin.refresh()
    answer = await admin.call("POST", path, body, token=admin.access_token)
    answer.raise_for_status()
    return dict(answer.json())


if __name__ == "__main__":
    main()
