"""How soon an address is refused at the gateway, and what is known after a restart."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.inprocess import InProcessBus
from chassis.testing import eventually
from contracts.audit import IpBlocked, IpUnblocked
from gateway.block_feed import POLL_EVERY
from gateway.tests.signing import Subject
from gateway.tests.test_revocation import publish, soon
from gateway.tests.upstreams import AuditService
from gateway.tests.world import Answer, World, is_ready
from gateway.tests.world import world as start_world

PROXY: dict[str, Any] = {"trusted_proxies": "127.0.0.1"}
# Every test starts a gateway of its own, or waits for its polls.
pytestmark = pytest.mark.slow

EVE, ANN = "203.0.113.66", "203.0.113.7"


async def visit(world: World, address: str, path: str = "/open/shop", **headers: str) -> Answer:
    """Ask as the client at *address*."""
    return await world.ask("GET", path, headers={"X-Forwarded-For": address, **headers})


async def refused(world: World, address: str) -> bool:
    """Say whether *address* is refused."""
    return (await visit(world, address)).status == 403


async def polled(world: World, *, times: int) -> None:
    """Wait until the gateway has asked audit *times* times more."""
    until = len(world.audit.asked) + times
    await eventually(lambda: len(world.audit.asked) > until)


def blocked(address: str, until: datetime | None = None) -> IpBlocked:
    """Return the event of a block."""
    return IpBlocked(block_id=uuid4(), cidr=address, cause="admin", expires_at=until)


class TestRefusal:
    """What a blocked client sees."""

    @pytest.mark.parametrize("path", ["/open/shop", "/.well-known/jwks.json", "/nowhere", "//"])
    async def test_comes_before_anything_else(self, tmp_path: Path, path: str) -> None:
        """403 `address_blocked`, on whatever path, and no service hears of it."""
        audit = AuditService()
        audit.block(f"{EVE}/32")
        async with start_world(tmp_path, audit=audit, **PROXY) as world:
            token = world.bearer(Subject(roles=("admin",)))
            answer = await visit(world, EVE, path, **token)
            seen = world.shop.seen + world.token.seen
        assert (answer.status, answer.document["code"]) == (403, "address_blocked")
        assert answer.headers["Cache-Control"] == "no-store"
        assert seen == []

    async def test_is_for_the_blocked_alone(self, tmp_path: Path) -> None:
        """IPv4 in IPv6 clothes is inside, the neighbour is not."""
        audit = AuditService()
        audit.block("203.0.113.64/26")
        audit.block("2001:db8:6::/48")
        async with start_world(tmp_path, audit=audit, **PROXY) as world:
            inside = [EVE, f"::ffff:{EVE}", "2001:db8:6:1::1", f"{ANN}, {EVE}"]
            outside = [ANN, "2001:db8:7::1", f"{EVE}, {ANN}"]
            statuses = [(await visit(world, a)).status for a in (*inside, *outside)]
            registry = world.gateway.metrics.registry
            counted = registry.get_sample_value("gatehouse_gateway_blocked_requests_total")
            known = registry.get_sample_value("gatehouse_gateway_ip_blocks")
        assert statuses == [403] * 4 + [200] * 3
        assert (counted, known) == (4, 2)

    async def test_meets_the_peer_when_no_proxy_is_trusted(self, world: World) -> None:
        """A forged header neither frees nor condemns."""
        world.audit.block(f"{ANN}/32")
        await polled(world, times=2)
        forged = await visit(world, ANN)
        world.audit.block("127.0.0.1/32")
        await eventually(lambda: refused(world, ANN))
        assert forged.status == 200


class TestPoll:
    """What the poll alone makes true."""

    async def test_refuses_and_lets_pass_again_after_the_next_poll(self, tmp_path: Path) -> None:
        """Less than a second between polls; on a connection that was open before, too."""
        async with start_world(tmp_path, **PROXY) as world:
            before = await refused(world, EVE)
            world.audit.block(f"{EVE}/32")
            await polled(world, times=2)
            during = await refused(world, EVE)
            world.audit.blocks.clear()
            await polled(world, times=2)
            after = await refused(world, EVE)
        assert (before, during, after) == (False, True, False)
        assert timedelta(seconds=1) > POLL_EVERY

    async def test_asks_for_the_list_once_per_revision(self, tmp_path: Path) -> None:
        """From then on only whether it changed."""
        async with start_world(tmp_path) as world:
            await polled(world, times=2)
            asked = list(world.audit.asked)
        assert asked[0] == ""
        assert set(asked[1:]) == {"none"}

    async def test_goes_on_with_what_it_knows_while_audit_is_away(self, tmp_path: Path) -> None:
        """Ready, serving, refusing; the age of its knowledge shows, a block's end counts."""
        audit = AuditService()
        audit.block(f"{EVE}/32")
        async with start_world(tmp_path, audit=audit, **PROXY) as world:
            world.audit.away = True
            await polled(world, times=2)
            statuses = [(await visit(world, address)).status for address in (EVE, ANN)]
            registry = world.gateway.metrics.registry
            name = "gatehouse_gateway_ip_blocks_staleness_seconds"
            stale = registry.get_sample_value(name) or 0
            ready = await is_ready(world.gateway)
        assert statuses == [403, 200]
        assert stale > POLL_EVERY.total_seconds()
        assert ready


class TestRestart:
    """What a gateway knows before its first request."""

    async def test_is_what_audit_says(self, tmp_path: Path) -> None:
        """Not only after the first poll."""
        audit = AuditService()
        audit.block(f"{EVE}/32")
        async with start_world(tmp_path, audit=audit, wait_ready=False, **PROXY) as world:
            assert await refused(world, EVE)

    async def test_is_what_was_known_last_while_audit_is_away(self, tmp_path: Path) -> None:
        """Kept in STATE_DIR, readable by nobody else."""
        audit, state = AuditService(), tmp_path / "state"
        audit.block(f"{EVE}/32", soon())
        async with start_world(tmp_path, audit=audit, state_dir=state):
            pass
        audit.away = True
        async with start_world(tmp_path, audit=audit, state_dir=state, **PROXY) as world:
            statuses = [(await visit(world, address)).status for address in (EVE, ANN)]
        (file,) = state.iterdir()
        assert statuses == [403, 200]
        assert file.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("content", [None, b"", b"{}", b'{"revision": 1', b"\xff"])
    async def test_is_nothing_when_the_file_is_no_good(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        """It serves, and reads the list as soon as audit is back."""
        audit = AuditService(away=True)
        audit.block(f"{EVE}/32")
        if content is not None:
            (tmp_path / "ip-blocks.json").write_bytes(content)
        async with start_world(tmp_path, audit=audit, state_dir=tmp_path, **PROXY) as world:
            before = await refused(world, EVE)
            audit.away = False
            await eventually(lambda: refused(world, EVE))
        assert not before

    async def test_works_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        """A folder that is a file: logged, and harmless."""
        audit, file = AuditService(), tmp_path / "file"
        audit.block(f"{EVE}/32")
        file.write_text("")
        async with start_world(tmp_path, audit=audit, state_dir=file, **PROXY) as world:
            assert await refused(world, EVE)


class TestEvents:
    """What events make faster."""

    async def test_refuse_and_let_pass_while_audit_does_not_answer(self, tmp_path: Path) -> None:
        """Without any poll in between."""
        bus, fact = InProcessBus(), blocked(f"{EVE}/32")
        async with start_world(tmp_path, bus=bus, **PROXY) as world:
            world.audit.away = True
            await publish(bus, fact)
            await eventually(lambda: refused(world, EVE))
            neighbour = await refused(world, ANN)
            await publish(bus, IpUnblocked(block_id=fact.block_id, cidr=fact.cidr))

            async def free() -> bool:
                return not await refused(world, EVE)

            await eventually(free)
        assert not neighbour

    async def test_that_come_late_are_put_right_by_the_poll(self, tmp_path: Path) -> None:
        """A block that audit has no more."""
        bus = InProcessBus()
        async with start_world(tmp_path, bus=bus, **PROXY) as world:
            await publish(bus, blocked(f"{EVE}/32"))
            await eventually(lambda: world.audit.asked[-1] == "" and len(world.audit.asked) > 1)

            async def free() -> bool:
                return not await refused(world, EVE)

            await eventually(free)

    async def test_that_make_no_sense_harm_nobody(self, tmp_path: Path) -> None:
        """The next one is taken as if nothing had been."""
        bus = InProcessBus()
        async with start_world(tmp_path, bus=bus, **PROXY) as world:
            world.audit.away = True
            await publish(bus, blocked("x"), broken=True)
            await publish(bus, blocked("nonsense"))
            await publish(bus, blocked(f"{EVE}/32"))
            await eventually(lambda: refused(world, EVE))
