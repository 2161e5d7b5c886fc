"""Known devices."""

from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.testing import FixedClock
from services.identity.devices import DEVICE_LIFE, DeviceTokens

OLD, NEW = b"old key old key old key old key o", b"new key new key new key new key n"


class TestDeviceTokens:
    """Signed, bound to one account and one epoch."""

    def test_say_whose_device_it_is(self, clock: FixedClock) -> None:
        """What was written is read."""
        tokens, user, device = DeviceTokens([OLD], clock), uuid4(), uuid4()
        read = tokens.read(tokens.issue(user, 7, device=device))
        assert read is not None
        assert (read.id, read.user_id, read.credentials_epoch) == (device, user, 7)

    def test_survive_the_rotation_of_the_key(self, clock: FixedClock) -> None:
        """A second key verifies what the first signed."""
        token = DeviceTokens([OLD], clock).issue(uuid4(), 0)
        assert DeviceTokens([NEW, OLD], clock).read(token) is not None
        assert DeviceTokens([NEW], clock).read(token) is None

    def test_run_out(self, clock: FixedClock) -> None:
        """Half a year without a login makes a device a stranger."""
        tokens = DeviceTokens([OLD], clock)
        token = tokens.issue(uuid4(), 0)
        clock.advance(DEVICE_LIFE + timedelta(days=1))
        assert tokens.read(token) is None

    @pytest.mark.parametrize("token", [None, "", "gh_dt_", "x" * 200, "gh_dt_" + "A" * 98])
    def test_nothing_else_is_one(self, token: str | None, clock: FixedClock) -> None:
        """Junk is a stranger, not an error."""
        assert DeviceTokens([OLD], clock).read(token) is None

    def test_cannot_be_altered(self, clock: FixedClock) -> None:
        """Every changed character breaks the signature."""
        tokens = DeviceTokens([OLD], clock)
        token = tokens.issue(uuid4(), 0)
        changed = [
            token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            for place in range(6, len(token))
        ]
        assert not any(tokens.read(other) for other in changed)
