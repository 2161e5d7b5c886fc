"""Two users over kept-alive connections: nobody ever gets the other's answer."""

import asyncio
import json
from random import Random  # noqa: TID251 - a fixed seed makes the run repeatable

from gateway.tests.signing import Subject
from gateway.tests.world import World

REQUESTS = 200
CONNECTIONS = 8


async def test_two_hundred_interleaved_requests_are_never_mixed(world: World) -> None:
    """Every answer names the user who asked, though one in five clients leaves in the middle."""
    users = [Subject(), Subject()]
    chance = Random(7)  # noqa: S311 - not a secret
    plan = [(users[n % 2], chance.random() < 0.2, n) for n in range(REQUESTS)]
    lanes = [plan[lane::CONNECTIONS] for lane in range(CONNECTIONS)]
    answered = await asyncio.gather(*(_lane(world, lane) for lane in lanes))
    assert sum(answered) == sum(not leaves for _, leaves, _ in plan)


async def _lane(world: World, plan: list[tuple[Subject, bool, int]]) -> int:
    """Send the requests of one connection, opening a new one after each that was left."""
    answered = 0
    reader, writer = await asyncio.open_connection(world.host, world.port)
    for user, leaves, number in plan:
        head = f"GET /shop/{number} HTTP/1.1\r\nHost: a\r\n"
        bearer = world.bearer(user)["Authorization"]
        writer.write(f"{head}Authorization: {bearer}\r\n\r\n".encode())
        if leaves:
            await writer.drain()
            writer.close()
            reader, writer = await asyncio.open_connection(world.host, world.port)
            continue
        document = await _read(reader)
        assert document["sub"] == [user.id]
        assert document["target"] == f"/shop/{number}"
        answered += 1
    writer.close()
    return answered


async def _read(reader: asyncio.StreamReader) -> dict[str, object]:
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200")
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        document: dict[str, object] = json.loads(await reader.readexactly(length))
        return document
