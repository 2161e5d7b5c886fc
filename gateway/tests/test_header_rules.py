"""What a route changes in headers, and what no route may touch."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.routing.header_rules import HeaderRules
from gateway.routing.source import RoutesInvalid
from gateway.tests.signing import Subject
from gateway.tests.test_routing import FILE, load
from gateway.tests.world import PRODUCT_ROUTES, World

# The end of the route that has them.
RULED = "forward_token = true\n"
RULES = """
[route.headers]
request.set = { X-Shop = "north", X-Kept = "ours" }
request.remove = ["Accept-Language", "Cookie"]
response.set = { Cache-Control = "max-age=60", X-Shop = "north" }
response.remove = ["Server", "Set-Cookie"]
"""


class TestRules:
    """A route with rules."""

    @pytest.fixture
    async def ruled(self, world: World, tmp_path: Path) -> World:
        """Give a world whose `/shop/raw/…` has RULES."""
        routes = PRODUCT_ROUTES.replace("{{", "{").replace("}}", "}")
        shop = (tmp_path / "routes.toml").read_text().partition('url = "')[2].partition('"')[0]
        ruled = routes.replace("{shop}", shop).replace(RULED, RULED + RULES)
        (tmp_path / "routes.toml").write_text(ruled)
        assert world.gateway.reload is not None
        await world.gateway.reload()
        return world

    async def test_sets_and_removes_for_the_upstream(self, ruled: World) -> None:
        """What the client sent under a name that is set is gone; who calls is said as ever."""
        headers = ruled.bearer(Subject()) | {
            "X-Kept": "theirs",
            "X_Shop": "theirs",
            "Accept-Language": "de",
            "Cookie": "a=b",
            "X-Other": "passes",
            "Connection": "X-Shop",
        }
        await ruled.ask("GET", "/shop/raw/x", headers=headers)
        (seen,) = ruled.shop.seen
        assert seen.values("x-shop") == ["north"]
        assert seen.values("x_shop") == []
        assert seen.values("x-kept") == ["ours"]
        assert seen.values("accept-language") == seen.values("cookie") == []
        assert seen.header("x-other") == "passes"
        assert seen.header("x-auth-subject")

    async def test_sets_and_removes_for_the_client(self, ruled: World) -> None:
        """In place of what the upstream said; what the gateway adds stays."""
        ruled.shop.headers = [
            (b"server", b"shop/1"),
            (b"set-cookie", b"a=b"),
            (b"cache-control", b"no-store"),
            (b"x-other", b"passes"),
        ]
        answer = await ruled.ask("GET", "/shop/raw/x", headers=ruled.bearer(Subject()))
        assert answer.headers.getall("Cache-Control") == ["max-age=60"]
        assert answer.headers["X-Shop"] == "north"
        assert "Server" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["X-Other"] == "passes"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    async def test_are_of_one_route_alone(self, ruled: World) -> None:
        """Its neighbour passes everything as it came."""
        answer = await ruled.ask("GET", "/open/x", headers={"Accept-Language": "de"})
        assert ruled.shop.seen[0].header("accept-language") == "de"
        assert "X-Shop" not in answer.headers


class TestNames:
    """Names that are the gateway's own."""

    @pytest.mark.parametrize("verb", ["set", "remove"])
    @pytest.mark.parametrize("direction", ["request", "response"])
    @pytest.mark.parametrize(
        "name",
        [
            "Connection",
            "Transfer-Encoding",
            "Upgrade",
            "TE",
            "Keep-Alive",
            "Proxy-Authorization",
            "Host",
            "Content-Length",
            "Content_Length",
            "Gatehouse_Device",
            "Expect",
            "X-Auth-Subject",
            "X_Auth_Roles",
            "x-auth-anything",
            "Authorization",
            "X-Forwarded-For",
            "Forwarded",
            "X-Real-IP",
            "X-Request-Id",
            "Gatehouse-Assertion",
            "Gatehouse-Device",
            "X-CSRF-Token",
            "RateLimit-Policy",
            "bad name",
            "",
            "X-Ä",
            "X:Y",
        ],
    )
    def test_can_neither_be_set_nor_removed(self, direction: str, verb: str, name: str) -> None:
        """In any spelling, in either direction."""
        with pytest.raises(ValidationError, match=r"is the gateway's own|is not the name"):
            rules(direction, verb, name)

    @pytest.mark.parametrize("verb", ["set", "remove"])
    @pytest.mark.parametrize("name", ["Date", "Strict-Transport-Security", "Clear-Site-Data"])
    def test_of_the_whole_host_stay_in_answers(self, verb: str, name: str) -> None:
        """A route speaks for its own paths."""
        with pytest.raises(ValidationError, match="is the gateway's own"):
            rules("response", verb, name)

    @pytest.mark.parametrize("direction", ["request", "response"])
    @pytest.mark.parametrize("name", ["Cookie", "Set-Cookie"])
    def test_of_cookies_are_only_removed(self, direction: str, name: str) -> None:
        """Somebody else's session is nothing to configure."""
        assert rules(direction, "remove", name)
        with pytest.raises(ValidationError, match="can only be removed"):
            rules(direction, "set", name)

    @pytest.mark.parametrize(
        "value", ["a\r\nX-Auth-Subject: b", "a\nb", " a", "a ", "", "ä", "\x00"]
    )
    def test_have_values_of_one_line(self, value: str) -> None:
        """Nothing that begins another header."""
        with pytest.raises(ValidationError, match="is not a header's value"):
            HeaderRules.model_validate({"request": {"set": {"X-Shop": value}}})

    @pytest.mark.parametrize("second", ["x-a", "X_A"])
    def test_stand_once(self, second: str) -> None:
        """Headers have no case, and for some frameworks no dashes."""
        with pytest.raises(ValidationError, match="stands twice"):
            HeaderRules.model_validate({"request": {"set": {"X-A": "1", second: "2"}}})


class TestFile:
    """Rules in a file."""

    def test_name_the_place_of_a_mistake(self, tmp_path: Path) -> None:
        """Like everything else there."""
        with pytest.raises(
            Exception, match=r"toml:22: route .*: headers\.request\.remove\.0: Host"
        ):
            load(tmp_path, f'{FILE}[route.headers]\nrequest.remove = ["Host"]\n')

    def test_are_for_products(self, tmp_path: Path) -> None:
        """What our own services say is no operator's to change."""
        route = FILE.replace('upstream = "shop"', 'upstream = "identity"')
        with pytest.raises(RoutesInvalid, match="headers is for routes of products"):
            load(tmp_path, f'{route}[route.headers]\nresponse.remove = ["Cache-Control"]\n')


def rules(direction: str, verb: str, name: str) -> HeaderRules:
    """Return the rules that do this to one header."""
    what: object = {name: "x"} if verb == "set" else [name]
    return HeaderRules.model_validate({direction: {verb: what}})
