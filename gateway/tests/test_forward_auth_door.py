"""What the door for other proxies does not take, and where it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.tests.proxies import CLIENT, HOST, Ask, Door, Request, envoy, nginx, opened, traefik
from gateway.tests.signing import Subject
from gateway.tests.world import world as start_world


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give the door."""
    async with opened(tmp_path) as given:
        yield given


class TestMixtures:
    """Questions that could be about two requests."""

    @pytest.mark.parametrize(
        ("ask", "added"),
        [
            (traefik, {"X-Original-URL": "https://reports.example.com/"}),
            (traefik, {"X-Original-Method": "GET"}),
            (nginx, {"X-Forwarded-Uri": "/"}),
            (nginx, {"X-Forwarded-Method": "GET"}),
            (envoy, {"X-Original-URL": "https://reports.example.com/"}),
            (envoy, {"X-Original-Method": "GET"}),
            (envoy, {"X-Forwarded-Uri": "/"}),
            (envoy, {"X-Forwarded-Method": "GET"}),
        ],
    )
    async def test_are_refused(self, door: Door, ask: Ask, added: dict[str, str]) -> None:
        """A client can send what another proxy would have written."""
        told = await door.send(ask(Request(target="/", headers=added)))
        assert (told.status, told.code) == (400, "original_request_unclear")

    @pytest.mark.parametrize("ask", [traefik, nginx, envoy])
    @pytest.mark.parametrize(
        "name",
        ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_Rewrite_URL"],
    )
    async def test_of_another_method_or_path_for_the_product_are_refused(
        self, door: Door, ask: Ask, name: str
    ) -> None:
        """Some frameworks serve what these say; it is the proxy that would pass them on."""
        bearer = door.world.bearer(Subject())
        told = await door.send(ask(Request(headers=bearer | {name: "DELETE"})))
        assert (told.status, told.code) == (400, "original_request_unclear")

    @pytest.mark.parametrize(
        ("ask", "name"),
        [
            *((traefik, f"X-Forwarded-{name}") for name in ("Method", "Proto", "Host", "Uri")),
            *((nginx, f"X-Original-{name}") for name in ("Method", "URL")),
        ],
    )
    async def test_or_gaps_are_refused(self, door: Door, ask: Ask, name: str) -> None:
        """Each header is needed, once, and with a value."""
        lines = ask(Request(target="/")).decode().split("\r\n")
        (line,) = [line for line in lines if line.startswith(f"{name}:")]
        twice = line if name != "X-Forwarded-Uri" else f"{name}: /x"
        for replacement in ([], [line, twice], [f"{name}:"], [f"{name}: {{}}"]):
            changed = [new for old in lines for new in (replacement if old == line else [old])]
            told = await door.send("\r\n".join(changed).encode())
            assert (told.status, told.code) == (400, "original_request_unclear"), replacement

    @pytest.mark.parametrize(
        "url",
        [
            *("/", "https://", "https:///", "ftp://reports.example.com/", "//reports.example.com/"),
            *("https://reports.example.com", "https://u@reports.example.com/", "https://a/#b"),
            *("https://reports.example.com?x=/", "https://reports.example.com:/", "https://[::1/"),
        ],
    )
    async def test_of_nginx_need_a_whole_url(self, door: Door, url: str) -> None:
        """Scheme, host and path."""
        question = nginx(Request(target="/")).replace(b"https://reports.example.com/", url.encode())
        told = await door.send(question)
        assert (told.status, told.code) == (400, "original_request_unclear")

    @pytest.mark.parametrize(
        "path", ["/", "/reports/7", "/forward-authx", "/forward-auth/../x", "//", "/forward-auth"]
    )
    async def test_of_nobody_are_refused(self, door: Door, path: str) -> None:
        """The port serves nothing else; a path below is Envoy's and judged."""
        question = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: {CLIENT}\r\n\r\n"
        assert (await door.send(question.encode())).status == 400

    async def test_by_another_method_are_refused(self, door: Door) -> None:
        """405: nginx and Traefik ask by GET, whatever they were asked."""
        for ask in (traefik, nginx):
            question = ask(Request(target="/")).replace(
                b"GET /forward-auth ", b"POST /forward-auth "
            )
            told = await door.send(question)
            assert (told.status, told.headers["allow"]) == (405, "GET")


class TestPorts:
    """Where it is asked, and where not."""

    async def test_the_public_port_knows_nothing_of_it(self, door: Door) -> None:
        """Neither the question nor the routes of other hosts."""
        world, headers = door.world, door.world.bearer(Subject())
        told = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/", "X-Forwarded-Proto": "https"}
        for target in ("/forward-auth", "/forward-auth/reports/7", "/reports/7", "/few"):
            for host in (HOST, "localhost:8000"):
                answer = await world.ask("GET", target, headers=headers | told | {"Host": host})
                assert answer.status == 404

    async def test_there_is_none_unless_it_is_set(self, tmp_path: Path) -> None:
        """FORWARD_AUTH_PORT is empty by default; the routes are known and served by nobody."""
        async with start_world(tmp_path) as world:
            assert world.gateway.doors == []

    async def test_a_reload_changes_its_routes(self, door: Door, tmp_path: Path) -> None:
        """As those of the edge."""
        routes = tmp_path / "own.toml"
        routes.write_text(routes.read_text().replace('"/few"', '"/many"'))
        assert door.world.gateway.reload is not None
        await door.world.gateway.reload()
        headers = door.world.bearer(Subject())
        statuses = [
            (await door.send(traefik(Request(target=target, headers=headers)))).status
            for target in ("/few", "/many")
        ]
        assert statuses == [403, 200]

    async def test_its_requests_are_counted_by_host_and_path(self, door: Door) -> None:
        """So that they are told from those of the edge."""
        await door.send(envoy(Request(method="HEAD", headers=door.world.bearer(Subject()))))
        labels = {"method": "HEAD", "route": f"{HOST}/reports/{{rest...}}", "status": "200"}
        assert door.value("gatehouse_http_requests_total", **labels) == 1
