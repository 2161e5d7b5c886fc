"""Races for a session, one round each: what must never happen, counted.

Two replicas of the service stand on one database; who takes part is spread over both. The tests
run some rounds of each, `python -m bench.races` as many as one likes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt

from chassis.caller import Principal
from chassis.testing import FixedClock, FreshDatabase
from contracts.identity import (
    PasswordChanged,
    PasswordReset,
    UserDeleted,
    UserDisabled,
    UserEvent,
    UserLocked,
)
from services.token.tests.kit import Client, World, run_world

_OK = 200
Tokens = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """How a round ended: `wrong` counts what must never happen, `first` says who came first."""

    wrong: int
    first: str


@dataclass
class Arena:
    """Replicas of one service, and an endless supply of users."""

    replicas: Sequence[World]
    _numbers: Any = field(default_factory=count)

    def client(self, number: int = 0, **how: str) -> Client:
        """Return a client at one of the replicas."""
        return Client(self.replicas[number % len(self.replicas)], **how)

    async def login(self) -> tuple[str, Tokens]:
        """Log somebody new in; return the name and the tokens."""
        name = self._register(f"user-{next(self._numbers)}")
        return name, await self.client().login(name)

    async def try_login(self) -> httpx.Response:
        """Have somebody new log in; return the answer."""
        name = self._register(f"user-{next(self._numbers)}")
        password = self.replicas[0].identity.accounts[name].password
        body = {"username": name, "password": password}
        return await self.client().send("POST", "/api/v1/auth/login", body)

    async def administrator(self) -> Principal:
        """Return an administrator, who is logged in."""
        name = self._register("admin", roles=("user", "admin"))
        world = self.replicas[0]
        return await world.principal(await self.client().login(name))

    async def opens(self, access_token: str) -> bool:
        """Say whether gateways accept an access token: its key is not revoked."""
        page = await self.replicas[0].send("GET", "/internal/v1/revocations")
        return jwt.get_unverified_header(access_token)["kid"] not in page.json()["revoked_keys"]

    def _register(self, name: str, **facts: Any) -> str:
        account = self.replicas[0].identity.register(name, **facts)
        for replica in self.replicas[1:]:
            replica.identity.accounts[name] = account
        return name

    async def works(self, refresh_token: str, **how: str) -> bool:
        """Say whether a refresh token still gives tokens."""
        answer = await self.client(0, **how).refresh(refresh_token)
        return answer.status_code == _OK

    async def scalar(self, sql: str, session_id: str) -> int:
        """Count something of a session in the database."""
        (row,) = await self.replicas[0].rows(sql, id=session_id)
        return int(row[0])


Race = Callable[[Arena], Awaitable[Round]]
End = Callable[[Arena, str, Tokens], Awaitable[httpx.Response]]

_UNSPENT = "SELECT count(*) FROM refresh_tokens WHERE session_id = :id AND spent_at IS NULL"
_ROTATIONS = (
    "SELECT count(*) FROM outbox WHERE routing_key = 'token.token.refreshed.v1'"
    " AND body->'data'->>'session_id' = :id"
)
# Events are numbered while their transactions hold the session, one after the other.
_AFTER_THE_END = (
    "SELECT count(*) FROM outbox AS renewed JOIN outbox AS ended"
    " ON ended.body->'data'->>'session_id' = renewed.body->'data'->>'session_id'"
    " WHERE renewed.routing_key = 'token.token.refreshed.v1'"
    " AND ended.routing_key = 'token.session.ended.v1'"
    " AND renewed.body->'data'->>'session_id' = :id AND renewed.id > ended.id"
)
_DENIED = "SELECT count(*) FROM revocations WHERE kind = 'sid' AND value = :id"


async def one_successor(arena: Arena) -> Round:
    """Fifty refreshes of one token at once: one rotation, and everybody is told of the same."""
    _, tokens = await arena.login()
    asked = [arena.client(number).refresh(tokens["refresh_token"]) for number in range(50)]
    answers = await asyncio.gather(*asked)
    successors = {answer.json().get("refresh_token") for answer in answers}
    wrong = sum(answer.status_code != _OK for answer in answers) + len(successors) - 1
    wrong += abs(await arena.scalar(_ROTATIONS, tokens["session_id"]) - 1)
    wrong += abs(await arena.scalar(_UNSPENT, tokens["session_id"]) - 1)
    return Round(wrong, "any")


async def lost_answer(arena: Arena) -> Round:
    """Whoever lost an answer has it again at another replica, and goes on with it."""
    _, tokens = await arena.login()
    lost = (await arena.client(0).refresh(tokens["refresh_token"])).json()
    again = (await arena.client(1).refresh(tokens["refresh_token"])).json()
    same = lost["refresh_token"] == again.get("refresh_token")
    return Round(int(not same) + int(not await arena.works(lost["refresh_token"])), "lost")


async def theft(arena: Arena) -> Round:
    """Owner and thief use one token at once: whoever comes second ends it for both."""
    _, tokens = await arena.login()
    stolen = tokens["refresh_token"]
    thief = {"user_agent": "thief/1.0"}
    racers = {
        "owner": arena.client(0).refresh(stolen),
        "thief": arena.client(1, **thief).refresh(stolen),
    }
    answers = dict(zip(racers, await asyncio.gather(*racers.values()), strict=True))
    served = {who: answer for who, answer in answers.items() if answer.status_code == _OK}
    survivors = [await arena.works(answer.json()["refresh_token"]) for answer in served.values()]
    wrong = sum(survivors) + abs(len(served) - 1)
    wrong += int(not await arena.scalar(_DENIED, tokens["session_id"]))
    return Round(wrong, next(iter(served), "nobody"))


async def single_session(arena: Arena) -> Round:
    """Eight logins of one user at once: exactly one session survives."""
    name, _ = await arena.login()
    answers = await asyncio.gather(*(arena.client(number).login(name) for number in range(8)))
    alive = [await arena.works(answer["refresh_token"]) for answer in answers]
    return Round(abs(sum(alive) - 1), str(alive.index(True)) if any(alive) else "none")


def refresh_against(end: End) -> Race:
    """Return the race of refreshes with what ends their session: nothing survives or follows it."""

    async def race(arena: Arena) -> Round:
        name, tokens = await arena.login()
        old = tokens["refresh_token"]
        refreshed = [arena.client(number).refresh(old) for number in range(3)]
        ended, *answers = await asyncio.gather(
            end(arena, name, tokens), *(_after(tokens, refresh) for refresh in refreshed)
        )
        got = {a.json()["refresh_token"] for a in answers if a.status_code == _OK}
        survivors = [await arena.works(token) for token in {old, *got}]
        wrong = sum(survivors) + int(not ended.is_success)
        wrong += await arena.scalar(_AFTER_THE_END, tokens["session_id"])
        wrong += int(not await arena.scalar(_DENIED, tokens["session_id"]))
        return Round(wrong, "refresh" if got else "end")

    return race


async def _after(tokens: Tokens, racer: Awaitable[httpx.Response]) -> httpx.Response:
    """Give the others up to a hundred turns of the loop, by chance: both orders have to be met."""
    for _ in range(UUID(tokens["session_id"]).int % 100):
        await asyncio.sleep(0)
    return await racer


async def everything_revoked(arena: Arena) -> Round:
    """Three refreshes and a login meet a global revocation: nothing of before is good."""
    _, tokens = await arena.login()
    old = tokens["refresh_token"]
    boss = await arena.administrator()
    body = {"reason": "a race"}
    revoking = arena.client(1).send("POST", "/api/v1/admin/revoke-all", body, principal=boss)
    refreshing = [arena.client(number).refresh(old) for number in range(3)]
    racers = (_after(tokens, racer) for racer in (arena.try_login(), *refreshing))
    revoked, begun, *answers = await asyncio.gather(revoking, *racers)
    got = [answer.json() for answer in answers if answer.status_code == _OK]
    survivors = [await arena.works(token) for token in {old, *(g["refresh_token"] for g in got)}]
    wrong = sum(survivors) + int(not revoked.is_success)
    wrong += sum([await arena.opens(pair["access_token"]) for pair in got])
    if begun.status_code == _OK:  # before or after, but no access token without its session
        pair = begun.json()
        opens = await arena.opens(pair["access_token"])
        wrong += int(opens and not await arena.works(pair["refresh_token"]))
    for replica in arena.replicas:  # as they do by themselves within half a second
        await replica.rotate()
    # Of many revoked keys the latest are remembered: rounds are to differ in time.
    arena.replicas[0].clock.advance(timedelta(seconds=1))
    return Round(wrong, "refresh" if got else "end")


async def _logout(arena: Arena, _name: str, tokens: Tokens) -> httpx.Response:
    return await arena.client(1).logout(_principal(arena, _name, tokens))


async def _logout_all(arena: Arena, name: str, tokens: Tokens) -> httpx.Response:
    return await arena.client(1).logout(_principal(arena, name, tokens), all=True)


async def _log_in_elsewhere(arena: Arena, name: str, _tokens: Tokens) -> httpx.Response:
    account = arena.replicas[1].identity.accounts[name]
    body = {"username": name, "password": account.password}
    return await arena.client(1).send("POST", "/api/v1/auth/login", body)


def _pushed(kind: type[UserEvent], **facts: Any) -> End:
    """Return the end by an event of identity's."""

    async def push(arena: Arena, name: str, _tokens: Tokens) -> httpx.Response:
        world = arena.replicas[1]
        user_id = world.identity.accounts[name].user_id
        return await world.push(world.event(kind(user_id=user_id, **facts), 2))

    return push


def _principal(arena: Arena, name: str, tokens: Tokens) -> Principal:
    world = arena.replicas[0]
    return Principal(
        user_id=world.identity.accounts[name].user_id,
        session_id=UUID(tokens["session_id"]),
        roles=frozenset({"user"}),
        version=1,
        auth_time=world.clock.now(),
    )


RACES: Mapping[str, Race] = {
    "one successor": one_successor,
    "lost answer": lost_answer,
    "theft": theft,
    "single session": single_session,
    "everything revoked": everything_revoked,
    "refresh against logout": refresh_against(_logout),
    "refresh against logout of all": refresh_against(_logout_all),
    "refresh against another login": refresh_against(_log_in_elsewhere),
    "refresh against password reset": refresh_against(_pushed(PasswordReset)),
    "refresh against password change": refresh_against(
        _pushed(PasswordChanged, session_id=uuid4())
    ),
    "refresh against disabling": refresh_against(_pushed(UserDisabled)),
    "refresh against deletion": refresh_against(_pushed(UserDeleted)),
    "refresh against an admin's lock": refresh_against(
        _pushed(UserLocked, cause="admin", locked_until=None)
    ),
}


@asynccontextmanager
async def arena(database: FreshDatabase, clock: FixedClock) -> AsyncIterator[Arena]:
    """Give two replicas on one database."""
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(run_world(database, clock)) for _ in range(2)]
        yield Arena(replicas)
