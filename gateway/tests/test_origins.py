"""Hosts and origins: under which names the gateway answers, and whose pages may read it."""

from pathlib import Path

import pytest

from gateway.tests.world import World
from gateway.tests.world import world as start_world

ME = "/api/v1/users/me"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


class TestHost:
    """The Host header."""

    async def test_must_be_ours_under_https(self, tmp_path: Path) -> None:
        """421 for any other: nothing is built from a stranger's name."""
        async with start_world(
            tmp_path, public_base_url="https://auth.example", allowed_hosts="shop.example"
        ) as world:
            hosts = ("auth.example", "AUTH.example", "shop.example", "evil.example", "127.0.0.1")
            answers = [await world.ask("GET", "/verify-email", headers={"Host": h}) for h in hosts]
        assert [answer.status for answer in answers] == [200, 200, 200, 421, 421]


class TestCrossOrigin:
    """CORS by exact origins."""

    async def test_is_off_by_default(self, world: World) -> None:
        """No origin may read an answer."""
        headers = {"Origin": "https://app.example", **PREFLIGHT}
        preflight = await world.ask("OPTIONS", "/api/v1/auth/login", headers=headers)
        answer = await world.ask("GET", "/api/v1/auth/password-policy", headers=headers)
        assert preflight.status == 405
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]

    async def test_lets_the_listed_origins_in(self, tmp_path: Path) -> None:
        """Preflights are answered here; problems can be read too; cookies may come along."""
        origin = "https://app.example"
        async with start_world(tmp_path, cors_allowed_origins=origin) as world:
            headers = {"Origin": origin}
            preflight = await world.ask(
                "OPTIONS", "/api/v1/auth/login", headers={**headers, **PREFLIGHT}
            )
            problem = await world.ask("GET", ME, headers=headers)
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert problem.status == 401
        assert problem.headers["Access-Control-Allow-Origin"] == origin
        assert problem.headers["Vary"] == "Origin, Cookie, Sec-Fetch-Site"
        for answer in (preflight, problem):
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        allowed = preflight.headers["Access-Control-Allow-Headers"]
        assert {"Gatehouse-Mode", "X-CSRF-Token"} <= set(allowed.split(", "))
        assert world.token.seen == []

    @pytest.mark.parametrize(
        "origin",
        ["null", "https://app.example.evil", "http://app.example", "https://app.example:444", "*"],
    )
    async def test_knows_no_similar_origins(self, tmp_path: Path, origin: str) -> None:
        """Equality, nothing else."""
        async with start_world(tmp_path, cors_allowed_origins="https://app.example") as world:
            answer = await world.ask("GET", ME, headers={"Origin": origin})
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]
