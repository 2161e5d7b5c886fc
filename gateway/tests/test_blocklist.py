"""Which addresses a list of blocks covers."""

from datetime import datetime, timedelta
from ipaddress import ip_address
from uuid import UUID, uuid4

import pytest

from chassis.networks import plain_address
from chassis.testing.clock import FixedClock
from contracts.internal import IpBlock
from gateway.blocklist import BlockList


@pytest.fixture
def clock() -> FixedClock:
    """Give the time."""
    return FixedClock()


@pytest.fixture
def blocks(clock: FixedClock) -> BlockList:
    """Give an empty list."""
    return BlockList(clock)


def block(cidr: str, until: datetime | None = None, block_id: UUID | None = None) -> IpBlock:
    """Return a block."""
    return IpBlock(block_id=block_id or uuid4(), cidr=cidr, expires_at=until)


def covered(blocks: BlockList, *addresses: str) -> list[str]:
    """Return those of *addresses* that are blocked."""
    return [text for text in addresses if blocks.covers(plain_address(text))]


class TestCovering:
    """Which addresses are inside."""

    @pytest.mark.parametrize(
        ("cidr", "inside", "outside"),
        [
            ("203.0.113.7/32", ["203.0.113.7", "::ffff:203.0.113.7"], ["203.0.113.6", "::1"]),
            ("203.0.113.0/25", ["203.0.113.0", "203.0.113.127"], ["203.0.113.128"]),
            ("::ffff:203.0.113.0/120", ["203.0.113.9"], ["203.0.114.9"]),
            ("2001:db8::1/128", ["2001:db8::1"], ["2001:db8::2"]),
            ("2001:db8:1:2::/64", ["2001:db8:1:2:ffff::9"], ["2001:db8:1:3::"]),
            ("2001:db8::/47", ["2001:db8:1:ffff::1"], ["2001:db8:2::1"]),
            ("::cb00:7107/128", ["::cb00:7107"], ["203.0.113.7"]),
        ],
    )
    def test_is_by_prefix(
        self, blocks: BlockList, cidr: str, inside: list[str], outside: list[str]
    ) -> None:
        """To the bit, in both families, and never across them."""
        blocks.add(block(cidr))
        assert covered(blocks, *inside, *outside) == inside

    def test_ends_by_itself(self, blocks: BlockList, clock: FixedClock) -> None:
        """At its end, whether or not audit can still say so."""
        blocks.add(block("203.0.113.7/32", clock.now() + timedelta(minutes=1)))
        before = covered(blocks, "203.0.113.7")
        clock.advance(timedelta(minutes=1))
        assert (before, covered(blocks, "203.0.113.7")) == (["203.0.113.7"], [])

    def test_looks_on_behind_a_block_that_ended(self, blocks: BlockList, clock: FixedClock) -> None:
        """A wider block still counts."""
        blocks.replace([block("203.0.113.7/32", clock.now()), block("203.0.113.0/24")])
        assert covered(blocks, "203.0.113.7") == ["203.0.113.7"]


class TestChanges:
    """Adding, removing, replacing."""

    def test_replacing_forgets_what_is_not_named(self, blocks: BlockList) -> None:
        """And keeps what is, with a new end."""
        kept = block("203.0.113.7/32")
        blocks.replace([kept, block("203.0.113.8/32")])
        blocks.replace([kept.model_copy(), block("2001:db8::/32")])
        assert covered(blocks, "203.0.113.7", "203.0.113.8", "2001:db8::1") == [
            "203.0.113.7",
            "2001:db8::1",
        ]
        assert len(blocks) == 2

    def test_removing_is_by_id(self, blocks: BlockList) -> None:
        """Twice, or of a stranger, harms nothing."""
        one = block("203.0.113.7/32")
        blocks.add(one)
        for block_id in (uuid4(), one.block_id, one.block_id):
            blocks.remove(block_id)
        assert not blocks.covers(ip_address("203.0.113.7"))

    def test_a_late_removal_leaves_the_newer_block_of_the_same_network(
        self, blocks: BlockList
    ) -> None:
        """Events of two blocks may cross."""
        old, new = block("203.0.113.7/32"), block("203.0.113.7/32")
        blocks.add(old)
        blocks.add(new)
        blocks.remove(old.block_id)
        assert covered(blocks, "203.0.113.7") == ["203.0.113.7"]

    def test_adding_twice_is_adding_once(self, blocks: BlockList) -> None:
        """Polls and events say the same."""
        one = block("203.0.113.7/32")
        blocks.add(one)
        blocks.add(one)
        blocks.remove(one.block_id)
        assert len(blocks) == 0

    def test_what_is_no_network_is_passed_over(self, blocks: BlockList) -> None:
        """The others count."""
        blocks.replace([block("nonsense"), block("203.0.113.7/32")])
        assert covered(blocks, "203.0.113.7") == ["203.0.113.7"]
