"""Some rounds of every race for a session; `python -m bench.races` runs the thousands."""

import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.token.tests.kit import MIGRATIONS
from services.token.tests.races import RACES, arena

ROUNDS = 3
AGAINST = [name for name in RACES if name.startswith("refresh against")]


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: its locks are what they were in every version."""
    return postgres


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["one successor"], id="fifty refreshes of one token have one successor"),
        pytest.param(["lost answer", "theft"], id="a lost answer is repeated, a theft ends all"),
        pytest.param(["single session"], id="one session survives parallel logins"),
        pytest.param(["everything revoked"], id="nothing of before survives a global revocation"),
        pytest.param(AGAINST, id="nothing survives the end of its session"),
    ],
)
class TestRaces:
    """D3, D9, D24; T-RACE and X-24 of the checklist: two replicas, whoever comes first."""

    async def test_what_must_never_happen_does_not(
        self, make_database: MakeDatabase, clock: FixedClock, names: list[str]
    ) -> None:
        """Neither an answer nor a row in the database says otherwise."""
        async with arena(await make_database("token", MIGRATIONS), clock) as standing:
            wrong = {
                name: [(await RACES[name](standing)).wrong for _ in range(ROUNDS)] for name in names
            }

        assert wrong == dict.fromkeys(names, [0] * ROUNDS)


def test_every_race_is_run() -> None:
    """None is left to the bench alone."""
    others = {"one successor", "lost answer", "theft", "single session", "everything revoked"}
    assert {*AGAINST} | others == {*RACES}
