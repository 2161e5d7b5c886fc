"""Routes of what other proxies serve, in the files of routes."""

from pathlib import Path

import pytest

from gateway.check.report import summary
from gateway.paths import segments_of
from gateway.routing.loading import Surroundings, load_table
from gateway.routing.source import RoutesInvalid
from gateway.routing.table import RouteTable
from gateway.tests.world import make_settings

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
FILE = """
[[route]]
path = "/{rest...}"
methods = ["GET"]
hosts = ["a.example.com", "b.example.com:8443"]
upstream = "forward-auth"
access = ["admin", "scope:reports"]
limits = ["600/minute"]

[[route]]
path = "/internal/x"
methods = ["GET"]
hosts = ["a.example.com"]
upstream = "forward-auth"
access = "public"
"""
OWN = """
[[upstream]]
name = "shop"
url = "http://shop:8080"

[[route]]
path = "/shop"
methods = ["GET"]
upstream = "shop"
access = "user"
limits = ["600/minute"]
"""


def load(folder: Path, text: str) -> RouteTable:
    """Return the table of one file."""
    file = folder / "routes.toml"
    file.write_text(text)
    nowhere = Surroundings(services={}, rates={}, flags=frozenset(), pages=frozenset())
    return load_table(nowhere, file)


class TestProtected:
    """A file that holds."""

    def test_are_found_by_host_and_never_by_our_own_paths(self, tmp_path: Path) -> None:
        """Named with their host; `/internal` and whole hosts are others' to give away."""
        table = load(tmp_path, OWN + FILE)
        assert [route.path for route in table.routes] == ["/shop"]
        assert table.methods_of(segments_of(b"/internal/x")) == {}
        assert table.protected.keys() == {"a.example.com", "b.example.com:8443"}
        route = table.protected["a.example.com"].find(segments_of(b"/reports/7"), "HEAD")
        assert route.path == "a.example.com/{rest...}"
        assert [*route.roles, *route.scopes] == ["admin", "reports"]
        assert route.upstream is None
        other = table.protected["a.example.com"].find(segments_of(b"/internal/x"), "GET")
        assert other.access == "public"

    def test_count_one_limit_on_all_hosts_of_a_route(self, tmp_path: Path) -> None:
        """And none together with a route of ours that has the same path."""
        both = FILE.replace('"/{rest...}"', '"/shop"')
        table = load(tmp_path, OWN + both)
        scopes = {
            table.protected[host].find(("shop",), "GET").limits[0].scope for host in table.protected
        }
        assert len(scopes) == 1
        assert scopes.isdisjoint({table.find(("shop",), "GET").limits[0].scope})

    def test_are_told_by_a_check(self, tmp_path: Path) -> None:
        """Among the operator's own."""
        file = tmp_path / "routes.toml"
        table = load(tmp_path, FILE)
        urls = dict.fromkeys(("identity", "token", "notify", "audit"), "http://localhost")
        lines = [text for _, text in summary(make_settings(urls, routes_file=file), table)]
        assert lines[1] == f"3 routes in {file}"
        assert (
            "GET a.example.com/{rest...} → other proxies, which ask at FORWARD_AUTH_PORT; "
            "a user with admin or scope:reports"
        ) in lines

    def test_hold_as_they_are_documented(self, tmp_path: Path) -> None:
        """The example that operators copy."""
        section = DOCS.read_text().partition("## Products behind another proxy")[2]
        example = section.partition("```toml\n")[2].partition("```")[0]
        table = load(tmp_path, example)
        route = table.protected["reports.example.com"].find(("q3", "7"), "POST")
        assert (route.access, str(route.limits[0].rate)) == ("user", "600/minute")


class TestMistakes:
    """A file that does not hold."""

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ('hosts = ["a.example.com"]\n', "", "hosts: forward-auth needs the hosts"),
            ('hosts = ["a.example.com"]', "hosts = []", "hosts: forward-auth needs the hosts"),
            ('["a.example.com"]', '["A.example.com"]', "hosts.0: is not a host in lower case"),
            ('["a.example.com"]', '["a.example.com:443"]', "hosts.0: is not a host"),
            ('["a.example.com"]', '["*.example.com"]', "hosts.0: is not a host"),
            ('["a.example.com"]', '["https://a.example.com"]', "hosts.0: is not a host"),
            (
                'access = "public"',
                'access = "public"\nforward_token = true',
                "forward_token: is for",
            ),
            ('access = "public"', 'access = "public"\nbody_limit = 1', "body_limit: is for what"),
            (
                'access = "public"',
                'access = "public"\nanswer = "csrf"',
                "upstream or page or answer",
            ),
            ('"/internal/x"', '"/{rest...}"', "GET a.example.com/{rest...} is declared twice"),
            ('access = "user"', 'access = "user"\nhosts = ["a.b"]', "hosts: is for the upstream"),
            ('name = "shop"', 'name = "forward-auth"', "the name means other proxies"),
            ('path = "/shop"', 'path = "/{rest...}"', "path: must start with a word"),
            ('path = "/shop"', 'path = "/internal"', "path: must start with a word"),
        ],
    )
    def test_are_told(self, tmp_path: Path, old: str, new: str, complaint: str) -> None:
        """With the field."""
        text = OWN + FILE
        assert old in text
        with pytest.raises(RoutesInvalid) as refusal:
            load(tmp_path, text.replace(old, new))
        assert any(complaint in line for line in refusal.value.lines), refusal.value.lines
