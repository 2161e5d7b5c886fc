"""A real nginx, configured as docs/operations.md says, in front of a product."""

import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from chassis.processes import Child, free_port
from chassis.testing import eventually
from chassis.testing.servers.sources import apt_install
from gateway.tests.proxies import HOST, Door, opened
from gateway.tests.signing import Subject
from gateway.tests.upstreams import Echo, serving
from gateway.tests.world import Answer

pytestmark = pytest.mark.real

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
CONF = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


class Site:
    """A product behind nginx; `product` saw what reached it."""

    def __init__(self, door: Door, product: Echo, port: int) -> None:
        self.door = door
        self.product = product
        self._port = port

    async def ask(self, target: str, *, method: str = "GET", **headers: str) -> Answer:
        """Send a request as a client would."""
        async with (
            aiohttp.ClientSession() as client,
            client.request(
                method,
                f"http://127.0.0.1:{self._port}{target}",
                headers={"Host": HOST} | {n.replace("_", "-"): v for n, v in headers.items()},
            ) as response,
        ):
            return Answer(response.status, response.headers, await response.read())

    async def up(self) -> bool:
        """Say whether nginx answers."""
        try:
            return (await self.ask("/")).status > 0
        except aiohttp.ClientError:
            return False


@pytest.fixture(scope="session")
def nginx() -> str:
    """Give the program; installed when there is none."""
    path = "/usr/sbin:/usr/local/sbin"
    found = shutil.which("nginx") or shutil.which("nginx", path=path)
    if found is None:
        apt_install("nginx-light", say=print)
        found = shutil.which("nginx", path=path)
    assert found
    return found


@pytest.fixture
async def site(tmp_path: Path, nginx: str) -> AsyncIterator[Site]:
    """Give a product behind nginx behind nobody."""
    product, port = Echo(), free_port()
    block = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert block
    async with opened(tmp_path) as door, serving(product=product) as urls:
        server = block[1]
        for old, new in (
            ("listen 80;", f"listen 127.0.0.1:{port};"),
            ("http://reports:8080", urls["product"]),
            ("http://gateway:9100", "http://{}:{}".format(*door.address)),
        ):
            assert old in server
            server = server.replace(old, new)
        conf = tmp_path / "nginx.conf"
        conf.write_text(CONF.format(folder=tmp_path, server=server))
        command = [nginx, "-e", "stderr", "-p", str(tmp_path), "-c", str(conf)]
        child = Child(command, log=tmp_path / "nginx.log", env={}, death_signal=signal.SIGKILL)
        try:
            running = Site(door, product, port)
            await eventually(running.up)
            product.seen.clear()
            yield running
        finally:
            child.kill()


class TestDocumentedConfiguration:
    """The server block that operators copy."""

    async def test_lets_users_through_and_says_who_they_are(self, site: Site) -> None:
        """Method, path, query and body are the client's; identity is ours, the token stays."""
        ann = Subject()
        token = site.door.world.bearer(ann)["Authorization"]
        answer = await site.ask(
            "/reports/7?page=2",
            method="POST",
            Authorization=token,
            X_Auth_Subject="forged",
            X_Auth_Roles="admin",
        )
        (seen,) = site.product.seen
        assert answer.status == 200
        assert (seen.method, seen.target) == ("POST", "/reports/7?page=2")
        assert [seen.header(f"x-auth-{n}") for n in ("subject", "session", "roles")] == [
            ann.id,
            str(ann.sid),
            "user",
        ]
        assert seen.header("authorization") is None

    async def test_names_nobody_on_public_paths(self, site: Site) -> None:
        """A client's own headers do not get through in place of ours."""
        assert (await site.ask("/", X_Auth_Subject="forged")).status == 200
        assert site.product.seen[0].values("x-auth-subject") == []

    async def test_passes_refusals_on(self, site: Site) -> None:
        """401 with the challenge, 403, 400 and 429 with Retry-After; nothing gets through."""
        bearer = site.door.world.bearer(Subject())
        anonymous = await site.ask("/reports/7")
        assert (anonymous.status, anonymous.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await site.ask("/elsewhere", **bearer)).status == 403
        assert (await site.ask("/reports/7", method="DELETE", **bearer)).status == 403
        assert (await site.ask("/admin/x", **bearer)).status == 403
        assert (await site.ask("/reports/a%2fb", **bearer)).status == 400
        statuses = [(await site.ask("/few", **bearer)) for _ in range(3)]
        assert [answer.status for answer in statuses] == [200, 200, 429]
        assert int(statuses[2].headers["Retry-After"]) > 1700
        assert [seen.target for seen in site.product.seen] == ["/few", "/few"]

    async def test_is_not_led_astray_by_headers_of_clients(self, site: Site) -> None:
        """What another proxy would write is overwritten or taken away."""
        told = {
            "X_Original_URL": f"http://{HOST}/",
            "X_Original_Method": "GET",
            "X_Forwarded_Uri": "/",
            "X_Forwarded_Method": "GET",
            "X_Forwarded_Host": HOST,
            "X_Forwarded_For": "198.51.100.9",
        }
        assert (await site.ask("/reports/7", **told)).status == 401
        assert (await site.ask("/_gatehouse", **told)).status == 404
        assert (await site.ask("/", **told)).status == 200

    async def test_asks_about_its_own_name_whatever_the_host(self, site: Site) -> None:
        """The first server block takes every Host; a public path elsewhere opens nothing here."""
        answer = await site.ask("/reports/7", Host="open.example.com")
        assert answer.status == 401
