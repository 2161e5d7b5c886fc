"""A login from a device not seen before is told; the owner's usual ones are not."""

import asyncio

from contracts.identity import DeviceAdded, LoginSucceeded
from services.identity.tests.configuration import PASSWORD
from services.identity.tests.kit import World

ELSEWHERE = "198.51.100.77"


class TestNewDevice:
    """identity.device.added.v1, in the transaction of the login."""

    async def test_the_first_login_is_nobodys_surprise(self, world: World) -> None:
        """An account starts somewhere."""
        await world.register()

        await world.login("ada", PASSWORD)

        assert len(await world.events(LoginSucceeded)) == 1
        assert await world.events(DeviceAdded) == []

    async def test_another_place_is_told_once(self, world: World) -> None:
        """With its address and agent in the envelope; its second login is no news."""
        ada = await world.register()
        await world.login("ada", PASSWORD)

        for _ in range(2):
            await world.login("ada", PASSWORD, address=ELSEWHERE)

        [event] = await world.events(DeviceAdded)
        assert (event.subject, event.actor) == (str(ada.id), str(ada.id))
        assert (event.ip, event.useragent) == (ELSEWHERE, "identity-tests")
        assert event.data == {"user_id": str(ada.id)}

    async def test_logins_at_once_from_another_place_are_told_once(self, world: World) -> None:
        """Whichever is remembered first."""
        await world.register()
        await world.login("ada", PASSWORD)

        logins = [world.login("ada", PASSWORD, address=ELSEWHERE) for _ in range(4)]
        assert {answer.status_code for answer in await asyncio.gather(*logins)} == {200}

        assert len(await world.events(DeviceAdded)) == 1
        assert len(await world.events(LoginSucceeded)) == 5

    async def test_a_known_device_may_travel(self, world: World) -> None:
        """Its token says that it has been here before."""
        await world.register()
        token = (await world.login("ada", PASSWORD)).json()["device_token"]

        answer = await world.login("ada", PASSWORD, device_token=token, address=ELSEWHERE)

        assert answer.status_code == 200
        assert await world.events(DeviceAdded) == []

    async def test_another_persons_device_is_new(self, world: World) -> None:
        """A token speaks for one account only."""
        await world.register("eve")
        token = (await world.login("eve", PASSWORD)).json()["device_token"]
        ada = await world.register()
        await world.login("ada", PASSWORD)

        await world.login("ada", PASSWORD, device_token=token, address=ELSEWHERE)

        assert [event.subject for event in await world.events(DeviceAdded)] == [str(ada.id)]

    async def test_a_refused_login_tells_nothing(self, world: World) -> None:
        """And does not make a place known."""
        await world.register()
        await world.login("ada", PASSWORD)

        await world.login("ada", "wrong", address=ELSEWHERE)
        assert await world.events(DeviceAdded) == []

        await world.login("ada", PASSWORD, address=ELSEWHERE)
        assert len(await world.events(DeviceAdded)) == 1
