"""When the database is away, callers hear 503 and nothing half done remains."""

from chassis.testing import FixedClock, FreshDatabase
from chassis.testing.fixtures import MakeDatabase
from services.identity.tests.configuration import MIGRATIONS, PASSWORD
from services.identity.tests.kit import World, run_world


class TestDatabaseAway:
    """Every use case says "not now"."""

    async def test_answers_503_with_retry_after(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """`database_unavailable`, from the public and the internal doors."""
        database = await make_database("identity", MIGRATIONS)
        nowhere = FreshDatabase(
            name=database.name,
            app_url="postgresql+asyncpg://nobody:x@127.0.0.1:9/nowhere",
            owner_url=database.owner_url,
            app_role=database.app_role,
            owner_role=database.owner_role,
        )
        async with run_world(nowhere, clock) as world:
            answers = [
                await world.post(
                    "/api/v1/auth/register",
                    {"email": "ada@example.com", "username": "ada", "password": PASSWORD},
                ),
                await world.post("/api/v1/auth/password-reset", {"email": "ada@example.com"}),
                await world.login("ada", PASSWORD),
            ]
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.json()["code"] for answer in answers} == {"database_unavailable"}
            assert {answer.headers["Retry-After"] for answer in answers} == {"1"}

    async def test_serves_without_it_what_needs_no_data(self, world: World) -> None:
        """The rules are known anyway."""
        answer = await world.call("GET", "/api/v1/auth/password-policy")
        assert answer.status_code == 200
