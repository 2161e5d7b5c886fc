"""What has served is removed, and nothing else."""

from datetime import timedelta

import pytest

from services.token.tests.kit import World


class TestHousekeeping:
    """Expired tokens, ended sessions, old entries of the deny list."""

    async def test_a_session_that_ran_out_is_ended_and_told(self, world: World) -> None:
        """After seven idle days: reason `expired`; a day later the row is gone."""
        world.identity.register()
        await world.client.login()
        world.clock.advance(timedelta(days=7))

        await world.keep_house()
        reasons = [e["data"]["reason"] for e in await world.events("token.session.ended.v1")]
        world.clock.advance(timedelta(days=1, seconds=1))
        await world.keep_house()

        assert reasons == ["expired"]
        for table in ("refresh_tokens", "sessions", "revocations"):
            assert await world.count(table) == 0

    async def test_what_lives_stays(self, world: World) -> None:
        """A session in use outlives its first tokens, and refreshes on."""
        world.identity.register()
        tokens = await world.client.login()
        for _ in range(3):
            world.clock.advance(timedelta(days=3))
            tokens = (await world.client.refresh(tokens["refresh_token"])).json()

        await world.keep_house()

        left = await world.rows("SELECT generation FROM refresh_tokens ORDER BY generation")
        assert [row.generation for row in left] == [2, 3, 4]
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200

    async def test_ninety_days_leave_a_bounded_database(self, world: World) -> None:
        """A user who logs in daily and refreshes twice a day costs no more at the end."""
        world.identity.register()
        sizes = []
        for _ in range(90):
            tokens = await world.client.login()
            for _ in range(2):
                world.clock.advance(timedelta(hours=12))
                tokens = (await world.client.refresh(tokens["refresh_token"])).json()
            await world.keep_house()
            sizes.append(await self._rows(world))

        assert sizes[-1] == sizes[10]
        assert sizes[-1]["sessions"] <= 3
        assert sizes[-1]["revocations"] == 0

    async def test_batches_are_small_and_go_on_until_all_is_done(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Five sessions in batches of two."""
        for name in "abcde":
            world.identity.register(name)
            await world.client.login(name)
        world.clock.advance(timedelta(days=9))

        monkeypatch.setattr(world.parts.housekeeping, "_batch", 2)
        await world.keep_house()

        assert len(await world.events("token.session.ended.v1")) == 5

    async def _rows(self, world: World) -> dict[str, int]:
        tables = ("sessions", "refresh_tokens", "revocations")
        return {table: await world.count(table) for table in tables}
