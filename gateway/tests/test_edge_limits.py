"""Limits at the edge: who is counted together, and what the others are told."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world


class TestLimits:
    """Limits at the edge, by the specification's defaults."""

    async def test_refuse_the_sixth_login_of_a_minute(self, tmp_path: Path) -> None:
        """429 with Retry-After and the limit's state."""
        async with start_world(tmp_path, rate_limit_login="5/minute") as world:
            answers = [await world.ask("POST", "/api/v1/auth/login", json={}) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 5 + [429]
        refused = answers[-1]
        assert refused.document["code"] == "rate_limited"
        assert refused.headers["RateLimit-Policy"].startswith('"login";q=5;w=60')
        assert refused.headers["RateLimit"].startswith('"login";r=0;t=')
        assert 0 < int(refused.headers["Retry-After"]) <= 12
        assert answers[0].headers["RateLimit"].startswith('"login";r=4;t=')

    async def test_count_the_address_across_routes(self, tmp_path: Path) -> None:
        """Whoever alternates between endpoints meets the limit per address."""
        paths = ("/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/auth/email/verify")
        async with start_world(tmp_path, rate_limit_per_ip="4/minute") as world:
            answers = [await world.ask("POST", paths[n % 3], json={}) for n in range(5)]
        assert [answer.status for answer in answers] == [200] * 4 + [429]

    async def test_count_users_for_themselves(self, tmp_path: Path) -> None:
        """Two users behind one address do not share an allowance."""
        ann, ben = Subject(), Subject()
        async with start_world(tmp_path, rate_limit_per_user="2/minute") as world:
            path = "/api/v1/auth/password-change"
            anns = [await world.ask("POST", path, headers=world.bearer(ann)) for _ in range(3)]
            bens = [await world.ask("POST", path, headers=world.bearer(ben)) for _ in range(2)]
        assert [answer.status for answer in anns] == [200, 200, 429]
        assert [answer.status for answer in bens] == [200, 200]

    async def test_count_a_route_of_a_product(self, world: World) -> None:
        """`limits = ["5/minute"]` in the operator's file."""
        headers = world.bearer(Subject())
        answers = [await world.ask("GET", f"/shop/orders/{n}", headers=headers) for n in range(6)]
        assert [answer.status for answer in answers] == [200] * 5 + [429]

    async def test_follow_the_client_behind_a_trusted_proxy(self, tmp_path: Path) -> None:
        """Each client has its own allowance, and cannot choose another's."""
        path = "/api/v1/auth/login"
        async with start_world(
            tmp_path, rate_limit_login="1/minute", trusted_proxies="127.0.0.1/32"
        ) as world:
            answers = [
                await world.ask("POST", path, headers={"X-Forwarded-For": client})
                for client in ("1.1.1.1", "1.1.1.2", "6.6.6.6, 1.1.1.1", "7.7.7.7, 1.1.1.2")
            ]
        assert [answer.status for answer in answers] == [200, 200, 429, 429]

    async def test_ignore_forwarding_headers_of_strangers(self, tmp_path: Path) -> None:
        """By default the TCP peer is the client."""
        async with start_world(tmp_path, rate_limit_login="1/minute") as world:
            answers = [
                await world.ask(
                    "POST", "/api/v1/auth/login", headers={"X-Forwarded-For": f"1.1.1.{n}"}
                )
                for n in range(2)
            ]
        assert [answer.status for answer in answers] == [200, 429]

    @pytest.mark.parametrize(
        ("target", "headers"),
        [
            ("/api/v1/auth/login?x=1", {}),
            ("/api/v1/auth/lo%67in", {}),
            ("/api/v1/auth/login", {"Forwarded": "for=1.2.3.4", "X-Real-IP": "1.2.3.4"}),
            ("/api/v1/auth/login", {"X-Forwarded-For": "1.2.3.4", "X_Forwarded_For": "1.2.3.4"}),
            ("/api/v1/auth/login", {"X-HTTP-Method-Override": "GET"}),
            ("/api/v1/auth/login", {"Host": "elsewhere", "User-Agent": "another/1"}),
            ("/api/v1/auth/login", {"Authorization": "Bearer x", "Cookie": "gatehouse-device=x"}),
            ("/api/v1/auth/login", {"Gatehouse-Device": "x", "X-Request-Id": "1"}),
        ],
    )
    async def test_are_not_reset_by_another_spelling(
        self, tmp_path: Path, target: str, headers: dict[str, str]
    ) -> None:
        """X-05: what is judged as the same request is counted as the same."""
        async with start_world(tmp_path, rate_limit_login="1/minute") as world:
            first = await world.ask("POST", "/api/v1/auth/login", json={})
            again = await world.ask("POST", target, headers=headers, json={})
        assert (first.status, again.status) == (200, 429)

    @pytest.mark.parametrize(
        "target",
        ["/api/v1/auth/login/", "//api/v1/auth/login", "/API/v1/auth/login", "/api/v1/auth/login."],
    )
    async def test_are_not_passed_by_a_path_that_is_another(
        self, world: World, target: str
    ) -> None:
        """X-05: no other path leads to the service behind the limit."""
        answer = await world.ask("POST", target, json={})
        assert answer.status in {400, 404}
        assert world.token.seen == []


@pytest.mark.real
@pytest.mark.usefixtures("unhurried")
class TestLeased:
    """A high limit, decided by two gateways from what they lease."""

    async def test_is_one_limit_for_all_gateways(self, tmp_path: Path, redis_url: str) -> None:
        """120 a minute, whoever is asked; what remains is told, and when to come back."""
        settings: dict[str, Any] = {
            "redis_url": SecretStr(redis_url),
            "gateway_replicas": 2,
            "rate_limit_account": "120/minute",
        }
        async with (
            start_world(tmp_path, **settings) as one,
            start_world(tmp_path, **settings) as two,
        ):
            ann, answers = Subject(), []
            callers = [(world, world.bearer(ann)) for world in (one, two)]
            for world, headers in islice(cycle(callers), 1000):
                answers.append(await world.ask("GET", "/api/v1/users/me", headers=headers))
                if answers[-1].status != 200:
                    break
        *allowed, refused = answers
        assert refused.status == 429
        assert len(allowed) >= 120 - 2 * 4
        assert refused.headers["RateLimit-Policy"] == '"account";q=120;w=60'
        assert refused.headers["RateLimit"].startswith('"account";r=0;t=')
        assert refused.headers["Retry-After"] == "1"
        assert answers[0].headers["RateLimit"].startswith('"account";r=119;t=')
