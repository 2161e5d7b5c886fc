"""The route table: matching, and what a route file may say."""

import re
from pathlib import Path

import pytest

from chassis.errors import MethodNotAllowed, NotFound
from chassis.rates import Rate
from gateway.pages.hosted import MAILED, HostedPages
from gateway.paths import segments_of
from gateway.routing.loading import BUILT_IN, Surroundings, load_table
from gateway.routing.source import RoutesInvalid
from gateway.routing.table import RouteTable
from gateway.settings import GatewaySettings

FILE = """
[limits]
shared = { rate = "10/minute", key = "address" }

[[upstream]]
name = "shop"
url = "http://shop:8080/"

[[route]]
path = "/shop/items/{id}"
methods = ["GET", "PUT"]
upstream = "shop"
access = "user"
limits = ["shared", "600/minute"]

[[route]]
path = "/shop/items/special"
methods = ["GET"]
upstream = "shop"
access = ["admin"]

[[route]]
path = "/shop/{rest...}"
methods = ["POST"]
upstream = "shop"
access = "public"
"""


@pytest.fixture
def shop(tmp_path: Path) -> RouteTable:
    """Give the table of FILE."""
    return load(tmp_path, FILE)


class TestMatching:
    """Finding the route of a path."""

    @pytest.mark.parametrize(
        ("method", "path", "route"),
        [
            ("GET", b"/shop/items/7", "/shop/items/{id}"),
            ("HEAD", b"/shop/items/7", "/shop/items/{id}"),
            ("GET", b"/shop/items/special", "/shop/items/special"),
            ("GET", b"/shop/items/%73pecial", "/shop/items/special"),
            ("POST", b"/shop/a/b/c", "/shop/{rest...}"),
            ("POST", b"/shop/a/", "/shop/{rest...}"),
        ],
    )
    def test_prefers_the_more_exact(
        self, shop: RouteTable, method: str, path: bytes, route: str
    ) -> None:
        """Literal, parameter, rest."""
        assert shop.find(segments_of(path), method).path == route

    @pytest.mark.parametrize(
        "path", [b"/", b"/shop", b"/shop/", b"/SHOP/items/7", b"/other", b"/shopitems"]
    )
    def test_knows_nothing_else(self, shop: RouteTable, path: bytes) -> None:
        """What is not listed is 404, whatever the method."""
        with pytest.raises(NotFound):
            shop.find(segments_of(path), "POST")

    def test_tells_the_methods_of_a_known_path(self, shop: RouteTable) -> None:
        """405 carries Allow (RFC 9110 §15.5.6)."""
        with pytest.raises(MethodNotAllowed) as refusal:
            shop.find(("shop", "items", "7"), "DELETE")
        assert refusal.value.headers["Allow"] == "GET, HEAD, PUT"


class TestLimits:
    """Which allowance a request uses up."""

    def test_shared_ones_by_their_name_own_ones_by_the_route(self, shop: RouteTable) -> None:
        """A limit of the route's own counts per user, or per address for strangers."""
        shared, own = shop.find(("shop", "items", "7"), "GET").limits
        assert shared.demand(address="1.2.3.4", user="u").key == "shared@10/minute:address:1.2.3.4"
        mine = own.demand(address="1.2.3.4", user="u").key
        theirs = own.demand(address="1.2.3.4", user=None).key
        assert mine == "route:GET,PUT:/shop/items/{id}@600/minute:user:u"
        assert theirs == "route:GET,PUT:/shop/items/{id}@600/minute:address:1.2.3.4"


class TestBuiltIn:
    """The platform's own routes."""

    def test_hold(self) -> None:
        """They name only upstreams, limits and pages that exist."""
        table = load_table(surroundings(), BUILT_IN)
        login = table.find(segments_of(b"/api/v1/auth/login"), "POST")
        assert [limit.name for limit in login.limits] == ["login", "per_ip"]
        with pytest.raises(NotFound):
            table.find(segments_of(b"/dev/inbox"), "GET")

    def test_have_an_inbox_only_when_it_is_switched_on(self) -> None:
        """The mails of everybody are for a developer's machine."""
        table = load_table(surroundings("dev_inbox"), BUILT_IN)
        assert table.find(segments_of(b"/dev/inbox/messages"), "GET").access == "public"

    @pytest.mark.parametrize("prefix", [b"/api/v1/admin/users", b"/api/v1/admin/audit"])
    def test_let_only_staff_into_the_admin_paths(self, prefix: bytes) -> None:
        """Default deny: a role is asked for on every one of them."""
        table = load_table(surroundings(), BUILT_IN)
        routes = table.methods_of(segments_of(prefix)).values()
        assert routes
        assert all(route.roles <= {"admin", "moderator"} and route.roles for route in routes)


class TestFiles:
    """What a route file may say."""

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            (('upstream = "shop"', 'upstream = "ship"'), "no upstream is called ship"),
            (('["shared", ', '["shard", '), "no limit is called shard"),
            (("600/minute", "600/fortnight"), "not a rate"),
            (('"http://shop:8080/"', '"http://u:p@shop"'), "without credentials"),
            (('"http://shop:8080/"', '"http://shop/base"'), "must have no path"),
            (('"http://shop:8080/"', '"ftp://shop"'), "http"),
            (('url = "http://shop:8080/"', ""), "either url or urls"),
            (('url = "http://shop:8080/"', 'url = "http://a"\nurls = ["http://b"]'), "either url"),
            (('url = "http://shop:8080/"', 'urls = ["http://a", "b"]'), "urls.1"),
            (('url = "http://shop:8080/"', 'url = "http://a"\nmax_requests = 0'), "max_requests"),
            (('url = "http://shop:8080/"', 'url = "http://a"\nbreaker_failures = 1'), "failures"),
            (('url = "http://shop:8080/"', 'url = "http://a"\nhealth_path = "x"'), "health_path"),
            (('name = "shop"', 'name = "identity"'), "declared twice"),
            (('"/shop/items/special"', '"/shop/items/{other}"'), "declared twice"),
            (('"/shop/{rest...}"', '"/shop/{rest...}/x"'), "comes last"),
            (('"/shop/{rest...}"', '"/{rest...}"'), "must start with a word"),
            (('"/shop/{rest...}"', '"/internal/v1/revocations"'), "not with /internal"),
            (('"/shop/{rest...}"', '"/shop//x"'), "is not a path"),
            (('access = "public"', 'access = "everybody"'), "access"),
            (('access = ["admin"]', "access = []"), "access"),
            (('access = "public"', 'acces = "public"'), "acces"),
            (('methods = ["POST"]', "methods = []"), "methods"),
            (('methods = ["POST"]', 'methods = ["TRACE"]'), "methods"),
            (('access = "public"', 'access = "public"\nsession = "login"'), "our own services"),
            (('access = "public"', 'access = "public"\nanswer = "csrf"'), "upstream or page or"),
            (('upstream = "shop"\naccess = "public"', 'access = "public"'), "upstream or page or"),
            (('access = ["admin"]', 'access = ["Admin"]'), "neither a role nor scope:"),
            (('access = ["admin"]', 'access = ["scope:"]'), "neither a role nor scope:"),
            (('access = ["admin"]', 'access = ["scope:a b"]'), "neither a role nor scope:"),
            (('access = "public"', 'access = "public"\ntotal_timeout = 0'), "total_timeout"),
            (('methods = ["POST"]', 'methods = ["POST"]\nwebsocket = true'), "needs GET"),
            (('methods = ["POST"]', 'methods = ["POST"]\nidle_timeout = 5'), "with websocket"),
            (
                ('methods = ["POST"]', 'methods = ["GET"]\nwebsocket = true\ntotal_timeout = 5'),
                "does not go with total_timeout",
            ),
            (("[[route]]", "[[route"), "line"),
        ],
    )
    def test_is_refused_with_the_reason(
        self, tmp_path: Path, change: tuple[str, str], complaint: str
    ) -> None:
        """A mistake stops the start, not a request in the night."""
        with pytest.raises(RoutesInvalid, match=complaint):
            load(tmp_path, FILE.replace(*change))

    def test_complains_about_everything_at_once(self, tmp_path: Path) -> None:
        """Nobody wants to start five times."""
        broken = FILE.replace('upstream = "shop"', 'upstream = "ship"').replace("600/", "0/")
        with pytest.raises(RoutesInvalid) as refusal:
            load(tmp_path, broken)
        assert len(refusal.value.lines) == 4

    def test_says_where_the_mistake_is(self, tmp_path: Path) -> None:
        """File, line of the entry, its path, the field."""
        broken = FILE.replace('access = "public"', 'access = "all"').replace("shop:", "u:p@shop:")
        with pytest.raises(RoutesInvalid) as refusal:
            load(tmp_path, broken)
        file = tmp_path / "routes.toml"
        upstream, route = refusal.value.lines
        assert upstream.startswith(f"{file}:5: upstream shop: url: is not an http(s) URL")
        assert route.startswith(f"{file}:22: route /shop/{{rest...}}: access: is")

    def test_says_where_the_first_of_two_is(self, tmp_path: Path) -> None:
        """The second one may be in another file."""
        own = tmp_path / "own.toml"
        own.write_text(
            '[[route]]\npath = "/api/v1/auth/login"\nmethods = ["GET", "POST"]\n'
            'upstream = "token"\naccess = "public"\n'
        )
        with pytest.raises(RoutesInvalid) as refusal:
            load_table(surroundings(), BUILT_IN, own)
        (line,) = refusal.value.lines
        first = r"POST /api/v1/auth/login is declared twice, first at .*/gateway/routes\.toml:\d+"
        assert re.fullmatch(rf"{own}:1: {first}", line)

    def test_cannot_weaken_a_limit_of_the_platform(self, tmp_path: Path) -> None:
        """Its name is taken."""
        own = tmp_path / "own.toml"
        own.write_text('[limits]\nlogin = { rate = "9999/second", key = "user" }\n')
        with pytest.raises(RoutesInvalid, match="limit login is declared twice"):
            load_table(surroundings(), BUILT_IN, own)

    def test_complain_in_every_file(self, tmp_path: Path) -> None:
        """One that cannot be read hides nothing in the others."""
        own = tmp_path / "own.toml"
        own.write_text(FILE.replace('upstream = "shop"', 'upstream = "ship"'))
        with pytest.raises(RoutesInvalid) as refusal:
            load_table(surroundings(), tmp_path / "nothing.toml", own)
        assert len(refusal.value.lines) == 4

    def test_count_a_request_once_by_a_limit_named_twice(self, tmp_path: Path) -> None:
        """However it is written."""
        own = tmp_path / "own.toml"
        own.write_text(FILE.replace('"600/minute"]', '"600/minute", "shared", "600 / minute"]'))
        table = load_table(surroundings(), own)
        names = [[limit.name for limit in route.limits] for route in table.routes]
        assert ["shared", "route"] in names

    def test_may_be_written_inline(self, tmp_path: Path) -> None:
        """Then nothing but the file is named: no line could be told for sure."""
        path = tmp_path / "routes.toml"
        entry = '{ path = "/x", methods = ["GET"], upstream = "no", access = "user" }'
        path.write_text(f"route = [{entry}]")
        with pytest.raises(RoutesInvalid) as refusal:
            load_table(surroundings(), path)
        assert refusal.value.lines == [f"{path}: route /x: no upstream is called no"]

    def test_must_be_there(self, tmp_path: Path) -> None:
        """A missing file is a mistake too."""
        with pytest.raises(RoutesInvalid, match="cannot be read"):
            load_table(surroundings(), tmp_path / "nothing.toml")


def load(folder: Path, text: str) -> RouteTable:
    """Load the table of one file alone."""
    path = folder / "routes.toml"
    path.write_text(text)
    return load_table(surroundings(), path)


def surroundings(*flags: str) -> Surroundings:
    """Return our services on ports nobody listens on."""
    return Surroundings(
        services=dict.fromkeys(("identity", "token", "notify", "audit"), "http://127.0.0.1:1"),
        rates={name: Rate.parse("10/minute") for name in GatewaySettings.model_fields},
        flags=frozenset(flags),
        pages=HostedPages(*MAILED).names,
    )
