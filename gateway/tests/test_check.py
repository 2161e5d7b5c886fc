"""`python -m gateway check`: it says what the gateway does, for it is the gateway that says it."""

from pathlib import Path

import pytest

from chassis.metrics import Metrics
from gateway.check import command
from gateway.check.command import check
from gateway.check.rehearsal import Asked, rehearse
from gateway.routing.wiring import site_of
from gateway.settings import GatewaySettings
from gateway.tests.signing import Subject
from gateway.tests.world import PRODUCT_ROUTES, World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.usefixtures("quiet")

SHOP = PRODUCT_ROUTES.format(shop="http://127.0.0.1:9001")
UPGRADE = ("--header", "Upgrade: websocket", "--header", "Connection: Upgrade")
ASKED = [
    ("GET", "/shop/orders/7?a=b", None, ()),
    ("GET", "/shop/orders/7?a=b", "user", ()),
    ("GET", "/shop/orders/all", "user", ()),
    ("GET", "/shop/orders/all", "admin", ()),
    ("GET", "/shop/%6frders/all", "user", ()),
    ("PATCH", "/shop/x", "user", ()),
    ("GET", "/nowhere", None, ()),
    ("GET", "/shop/../x", None, ()),
    ("GET", "/shop//x", None, ()),
    ("GET", "/shop/%2e%2e/x", None, ()),
    ("GET", "/open/x?a=%ff", None, ()),
    ("POST", "/api/v1/auth/login", None, (("Gatehouse-Mode", "mobile"),)),
    ("POST", "/api/v1/auth/login", None, (("Gatehouse-Mode", "browser"),)),
    ("GET", "/open/x", None, (("X-Large", "x" * 40_000),)),
    ("GET", "/verify-email", None, ()),
    ("GET", "/api/v1/auth/csrf", None, ()),
    ("POST", "/api/v1/auth/logout", None, ()),
    ("OPTIONS", "/open/x", None, ()),
    ("GET", "/internal/v1/revocations", None, ()),
]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process alone."""
    monkeypatch.setattr(command, "configure", lambda **_: None)


class TestRehearsal:
    """What a check finds out."""

    @pytest.mark.slow
    async def test_is_what_the_gateway_answers(self, world: World, tmp_path: Path) -> None:
        """Status and code, for requests of many kinds."""
        settings = settings_of(world, tmp_path / "routes.toml")
        site = site_of(settings, Metrics())
        differences = []
        for method, target, role, headers in ASKED:
            roles = frozenset({role}) if role else None
            asked = Asked(method=method, target=target, headers=headers, roles=roles)
            found = await rehearse(asked, settings, site)
            sent = dict(headers) | (world.bearer(Subject(roles=(role,))) if role else {})
            answer = await world.ask(method, target, headers=sent)
            code = answer.document["code"] if answer.status >= 400 else None
            if (found.status, found.problem.get("code")) != (answer.status, code):
                differences.append((method, target, role, found.status, answer.status))
        assert differences == []

    @pytest.mark.slow
    async def test_sends_what_the_gateway_sends(self, world: World, tmp_path: Path) -> None:
        """The upstream would get the same headers, but for ids of one request."""
        settings = settings_of(world, tmp_path / "routes.toml")
        headers = (("X-Auth-Subject", "forged"), ("X-Other", "y"))
        asked = Asked(method="GET", target="/open/x", headers=headers, roles=None)
        found = await rehearse(asked, settings, site_of(settings, Metrics()))
        await world.ask("GET", "/open/x", headers=dict(headers))
        seen = {name: value for name, value in world.shop.seen[0].headers if name.startswith("x-")}
        assert found.passed_on is not None
        sent = {name: value for name, value in found.passed_on.items() if name.startswith("x-")}
        assert sent.pop("x-request-id") != seen.pop("x-request-id")
        assert sent == seen

    @pytest.mark.slow
    async def test_counts_as_the_gateway_counts(self, tmp_path: Path) -> None:
        """A body that is announced too long, an address behind a proxy."""
        async with start_world(tmp_path, trusted_proxies="127.0.0.1/32") as world:
            settings = settings_of(world, tmp_path / "routes.toml", trusted_proxies="127.0.0.1/32")
            forwarded = ("X-Forwarded-For", "6.6.6.6, 203.0.113.7")
            long = (("Content-Length", "99999999"), forwarded)
            asked = Asked(method="POST", target="/open/x", headers=long)
            found = await rehearse(asked, settings, site_of(settings, Metrics()))
            said = await world.raw(
                b"POST /open/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Length: 99999999\r\n\r\n"
            )
        assert (found.status, found.problem["code"]) == (413, "payload_too_large")
        assert said.startswith(b"HTTP/1.1 413 ")
        assert str(found.client) == "203.0.113.7"


class TestFiles:
    """`check` without a request."""

    def test_says_what_is_in_a_file_that_holds(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No setting and no secret is needed."""
        assert run(tmp_path) == 0
        told = capsys.readouterr().out
        assert "7 routes in" in told
        assert "GET /shop/orders/all → shop at http://127.0.0.1:9001; a user with admin" in told

    def test_says_everything_that_is_wrong(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit 1, a line for each mistake, with its place."""
        path = tmp_path / "shop.toml"
        path.write_text(SHOP.replace('"optional"', '"maybe"').replace('"DELETE"', '"REMOVE"'))
        assert check(["--file", str(path)]) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith(f"{path}:7: route /shop/{{rest...}}: methods.3: ")
        assert second.startswith(f"{path}:19: route /maybe/{{rest...}}: access: ")

    def test_takes_the_file_of_the_settings(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """As the service does."""
        path = tmp_path / "shop.toml"
        path.write_text("[[route]]\n")
        monkeypatch.setenv("ROUTES_FILE", str(path))
        assert check([]) == 1
        assert f"{path}:1: route 1: path: Field required" in capsys.readouterr().err

    def test_refuses_settings_that_do_not_hold(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Exit 78, like the service."""
        monkeypatch.setenv("TRUSTED_PROXIES", "0.0.0.0/0")
        with pytest.raises(SystemExit) as exit_:
            check([])
        assert exit_.value.code == 78
        assert "TRUSTED_PROXIES" in capsys.readouterr().err


class TestRequest:
    """`check` with a request."""

    def test_explains_one_that_passes(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Route and why, who, limits and their keys, body, times, upstream."""
        assert run(tmp_path, "GET", "/shop/orders/7", "--as", "user", "--from", "192.0.2.9") == 0
        told = capsys.readouterr().out
        for fact in (
            f"GET /shop/orders/{{id}} ({tmp_path / 'shop.toml'}:25)",
            "'shop' is literal; 'orders' is literal; {id} takes '7'",
            "rather than /shop/{rest...}",
            "192.0.2.9: the TCP peer; TRUSTED_PROXIES is empty",
            "route: 5/minute, counted under route:GET:/shop/orders/{id}@5/minute:user:00000000-",
            "at most 10485760 bytes, passed on as it arrives",
            "connect 2 s, silence 1 s, total none",
            "shop at http://127.0.0.1:9001",
            "x-auth-roles: user",
            "Answer      the upstream's",
        ):
            assert fact in told

    @pytest.mark.parametrize(
        ("arguments", "facts"),
        [
            (["GET", "/shop/x"], ["asked by nobody", "401 Unauthorized, code unauthenticated"]),
            (["GET", "/shop/orders/all", "--as", "user"], ["403 Forbidden, code forbidden"]),
            (
                ["PATCH", "/shop/x"],
                ["405 Method Not Allowed", "allow: DELETE, GET, HEAD, POST, PUT"],
            ),
            (["GET", "/nowhere"], ["404 Not Found, code not_found"]),
            (["GET", "/shop/%2e%2e/x"], ["400 Bad Request, code ambiguous_path"]),
            (["POST", "/shop/x", "--browser"], ["403 Forbidden, code cross_origin_refused"]),
            (
                ["GET", "/shop/live/x", "--browser", *UPGRADE],
                ["WebSocket   passes; ends", "403 Forbidden, code cross_origin_refused"],
            ),
        ],
    )
    def test_says_why_one_is_refused(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        facts: list[str],
    ) -> None:
        """Exit 3, the status and the code."""
        assert run(tmp_path, *arguments) == 3
        told = capsys.readouterr().out
        for fact in facts:
            assert fact in told

    def test_follows_a_browser_of_our_origin(self, tmp_path: Path) -> None:
        """Cookies and the CSRF token are supposed, the Origin is asked for."""
        asked = ("POST", "/shop/x", "--browser", "--header", "Origin: http://localhost:8000")
        assert run(tmp_path, *asked) == 0

    @pytest.mark.parametrize(
        ("trusted", "peer", "forwarded", "client"),
        [
            ("", "10.0.0.9", "203.0.113.7", "10.0.0.9: the TCP peer; TRUSTED_PROXIES is empty"),
            ("10.1.0.0/16", "10.0.0.9", "203.0.113.7", "10.0.0.9: the TCP peer, which is outside"),
            ("10.0.0.0/8", "10.0.0.9", "6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7: found in"),
            ("10.0.0.0/8", "10.0.0.9", "garbage", "10.0.0.9: the TCP peer, a trusted proxy; no"),
            ("10.0.0.0/8", "10.0.0.9", None, "10.0.0.9: the TCP peer, a trusted proxy that sends"),
        ],
    )
    def test_finds_the_client(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        *,
        trusted: str,
        peer: str,
        forwarded: str | None,
        client: str,
    ) -> None:
        """D19, from peer and X-Forwarded-For."""
        monkeypatch.setenv("TRUSTED_PROXIES", trusted)
        header = ["--header", f"X-Forwarded-For: {forwarded}"] if forwarded else []
        run(tmp_path, "GET", "/open/x", "--from", peer, *header)
        assert f"Client      {client}" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "arguments",
        [
            ["GET"],
            ["GET", "shop"],
            ["GET", "/x", "--from", "here"],
            ["GET", "/x", "--header", "Origin"],
            ["GET", "/x", "--header", "Authorization: Bearer x"],
            ["GET", "/x", "--header", "Cookie: gatehouse-access=x"],
        ],
    )
    def test_refuses_what_is_no_request(self, arguments: list[str]) -> None:
        """Exit 2 and the reason, as every command line does."""
        with pytest.raises(SystemExit) as exit_:
            check(arguments)
        assert exit_.value.code == 2


def run(folder: Path, *arguments: str) -> int:
    """Check with the file SHOP."""
    path = folder / "shop.toml"
    path.write_text(SHOP)
    return check([*arguments, "--file", str(path)])


def settings_of(world: World, routes: Path, **changes: str) -> GatewaySettings:
    """Return the settings of a running world's gateway."""
    told = world.gateway.settings.model_dump() | {"routes_file": routes} | changes
    return GatewaySettings(**told)
