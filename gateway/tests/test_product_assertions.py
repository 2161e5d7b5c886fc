"""Assertions for products: what is sent, verified by the very code of docs/assertions.md."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from chassis.clock import SystemClock
from chassis.crypto import b64encode
from chassis.processes import Child, free_port
from chassis.testing import eventually
from gateway.check.command import check
from gateway.tests.chats import chatting
from gateway.tests.signing import Subject
from gateway.tests.upstreams import secret_of
from gateway.tests.world import PRODUCT_ROUTES, World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[2] / "docs" / "assertions.md"
HEADER = "gatehouse-assertion"
FIRST, SECOND = secret_of("shop"), secret_of("shop, later")
NAMED = 'name = "shop"\nassertion_secrets_file = "shop.secrets"'


def block(after: str) -> str:
    """Return the first block of Python after some words of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(re.escape(after) + r".*?```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def verify() -> Callable[..., Any]:
    """Give `verify` as the document has it, for the product shop."""
    names: dict[str, Any] = {}
    exec(compile(block("`verifying.py`"), DOCUMENT, "exec"), names)  # noqa: S102 - it is ours

    def verifying(*arguments: Any, **changes: Any) -> Any:
        return names["verify"](*arguments, **{"audience": "shop", "secrets": [FIRST]} | changes)

    return verifying


def share(tmp_path: Path, *secrets: bytes) -> None:
    """Write the file of secrets."""
    (tmp_path / "shop.secrets").write_text(", ".join(map(b64encode, secrets)) + "\n")


def name_file(tmp_path: Path) -> None:
    """Have the upstream name it."""
    routes = tmp_path / "routes.toml"
    routes.write_text(routes.read_text().replace('name = "shop"', NAMED))


async def reload(world: World) -> None:
    """Do what SIGHUP does."""
    assert world.gateway.reload is not None
    await world.gateway.reload()


@pytest.fixture
async def shop(world: World, tmp_path: Path) -> World:
    """Give a gateway that shares a secret with the shop."""
    share(tmp_path, FIRST)
    name_file(tmp_path)
    await reload(world)
    return world


async def sent(world: World, method: str, target: str, **options: Any) -> str | None:
    """Return the assertion that a request reaches the shop with."""
    assert (await world.ask(method, target, **options)).status == 200
    return world.shop.seen[-1].header(HEADER)


class TestSigned:
    """A product with a secret."""

    async def test_tells_who_asks_for_what(self, shop: World, verify: Callable[..., Any]) -> None:
        """Path and query as they stand, the client, the request, and whose it is."""
        ann = Subject()
        target = "/shop/%C3%A4/x?b=1&a=%20"
        header = await sent(shop, "PUT", target, headers=shop.bearer(ann), data=b"body")
        said = verify(header, "PUT", target)
        seen = shop.shop.seen[-1]
        assert (said["ip"], said["rid"]) == ("127.0.0.1", seen.header("x-request-id"))
        assert (said["prn"]["sub"], said["prn"]["sid"]) == (str(ann.sub), str(ann.sid))
        assert said["prn"]["sub"] == seen.header("x-auth-subject")

    async def test_names_nobody_where_nobody_is_logged_in(
        self, shop: World, verify: Callable[..., Any]
    ) -> None:
        """A public route is signed too, without a caller."""
        said = verify(await sent(shop, "GET", "/open/x"), "GET", "/open/x")
        assert "prn" not in said
        assert set(said) == {"iss", "aud", "mth", "tgt", "rid", "iat", "ip"}

    async def test_goes_with_every_request(self, shop: World, verify: Callable[..., Any]) -> None:
        """Also with those that find a connection of the one before."""
        for number in range(5):
            target = f"/open/{number}"
            assert verify(await sent(shop, "GET", target), "GET", target)

    async def test_replaces_what_the_client_says(
        self, shop: World, verify: Callable[..., Any]
    ) -> None:
        """In every spelling that some framework takes for the same."""
        forged = {"Gatehouse-Assertion": "forged", "Gatehouse_Assertion": "forged"}
        assert verify(await sent(shop, "GET", "/open/x", headers=forged), "GET", "/open/x")
        assert shop.shop.seen[-1].values("gatehouse_assertion") == []

    async def test_is_good_for_one_request_one_product_and_a_minute(
        self, shop: World, verify: Callable[..., Any]
    ) -> None:
        """And under a secret that the product knows."""
        header = await sent(shop, "GET", "/open/x?a=1")
        asked, now = ("GET", "/open/x?a=1"), SystemClock().now().timestamp()
        assert header is not None
        assert verify(header, *asked, secrets=[SECOND, FIRST], now=now - 25)
        assert verify(header, *asked, now=now + 55)
        for refused in (
            verify(header, "POST", "/open/x?a=1"),
            verify(header, "GET", "/open/x?a=2"),
            verify(header, *asked, audience="orders"),
            verify(header, *asked, secrets=[SECOND]),
            verify(header, *asked, now=now - 35),
            verify(header, *asked, now=now + 65),
            verify("a" + header[1:], *asked),
            verify(header[:-1], *asked),
            verify(header + "é", *asked),
            verify("", *asked),
            verify(None, *asked),
        ):
            assert refused is None

    async def test_goes_with_a_handshake(self, tmp_path: Path, verify: Callable[..., Any]) -> None:
        """Of a WebSocket connection, and the client's own does not."""
        forged = {"Gatehouse-Assertion": "forged"}
        share(tmp_path, FIRST)
        async with chatting(tmp_path) as product:
            routes = tmp_path / "chat.toml"
            named = NAMED.replace('"shop"', '"chat"')
            routes.write_text(routes.read_text().replace('name = "chat"', named))
            await reload(product.world)
            async with product.dial("/crowd/room?x=1", additional_headers=forged) as talk:
                await talk.send("hello")
                assert await talk.recv() == "hello"
        (header,) = product.chat.seen[0].headers.get_all(HEADER)
        assert verify(header, "GET", "/crowd/room?x=1", audience="chat")


class TestUnsigned:
    """A product without a secret."""

    async def test_gets_none(self, world: World) -> None:
        """Neither ours nor the client's."""
        forged = {"Gatehouse-Assertion": "forged"}
        assert await sent(world, "GET", "/open/x", headers=forged) is None


class TestReload:
    """SIGHUP, after the file of secrets or the routes have changed."""

    async def test_signs_with_the_new_first_secret(
        self, shop: World, tmp_path: Path, verify: Callable[..., Any]
    ) -> None:
        """No restart, and requests in flight are let be."""
        shop.shop.hold = asyncio.Event()
        asking = asyncio.create_task(shop.ask("GET", "/open/x"))
        await eventually(lambda: bool(shop.shop.seen))
        share(tmp_path, SECOND, FIRST)
        await reload(shop)
        shop.shop.hold.set()
        assert (await asking).status == 200
        header = await sent(shop, "GET", "/open/y")
        assert verify(header, "GET", "/open/y", secrets=[SECOND])
        assert not verify(header, "GET", "/open/y", secrets=[FIRST])

    async def test_refuses_a_file_that_does_not_hold(
        self, shop: World, tmp_path: Path, verify: Callable[..., Any]
    ) -> None:
        """Told in the log; the secrets are those of before."""
        (tmp_path / "shop.secrets").unlink()
        with capture_logs() as logs:
            await reload(shop)
        (line,) = [entry for entry in logs if entry["event"] == "routes.not_reloaded"]
        assert "shop.secrets: cannot be read (FileNotFoundError)" in line["complaints"][0]
        assert verify(await sent(shop, "GET", "/open/x"), "GET", "/open/x")


class TestFile:
    """What is refused, at the start and by `gateway check` alike."""

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (None, "cannot be read (FileNotFoundError)"),
            (b"\xff\xfe", "cannot be read (UnicodeDecodeError)"),
            (b"\n", "needs at least one key"),
            (b64encode(bytes(range(31))).encode(), "each key needs at least 32 bytes"),
            (b"no secret!", "not base64url"),
            (b64encode(b"changeme" * 8).encode(), "a key was not made at random"),
            (
                b64encode(secret_of("audit")).encode(),
                "shares a key with ASSERTION_SECRETS_TO_AUDIT",
            ),
            (b64encode(secret_of("other")).encode(), "shares a key with upstream other"),
        ],
    )
    def test_is_refused_when_it_proves_nothing(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        content: bytes | None,
        complaint: str,
    ) -> None:
        """With file, line and upstream, and never with what is in it."""
        monkeypatch.setenv("ASSERTION_SECRETS_TO_AUDIT", b64encode(secret_of("audit")))
        (tmp_path / "other.secrets").write_text(b64encode(secret_of("other")))
        other = '[[upstream]]\nname = "other"\nurl = "http://other"\n'
        routes = other + 'assertion_secrets_file = "other.secrets"\n' + PRODUCT_ROUTES
        (tmp_path / "routes.toml").write_text(
            routes.format(shop="http://shop").replace('name = "shop"', NAMED)
        )
        if content is not None:
            (tmp_path / "shop.secrets").write_bytes(content)
        assert check(["--file", str(tmp_path / "routes.toml")]) == 1
        told = capsys.readouterr().err
        where = f"{tmp_path / 'routes.toml'}:6: upstream shop: assertion_secrets_file: "
        assert told.startswith(f"{where}{tmp_path / 'shop.secrets'}: {complaint}")
        inside = (content or b"").decode("latin-1").strip()
        assert not inside or inside not in told

    def test_keeps_a_gateway_from_starting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Exit 78, as for any mistake in the routes."""
        unread = PRODUCT_ROUTES.replace('name = "shop"', NAMED)
        monkeypatch.setattr("gateway.tests.world.PRODUCT_ROUTES", unread)
        with pytest.raises(SystemExit) as exit_:
            asyncio.run(_start(tmp_path))
        assert exit_.value.code == 78

    def test_is_told_by_a_check(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """For a product with secrets, one without, and our own services."""
        share(tmp_path, FIRST, SECOND)
        routes = tmp_path / "routes.toml"
        routes.write_text(PRODUCT_ROUTES.format(shop="http://shop"))
        assert check(["GET", "/open/x", "--file", str(routes)]) == 0
        assert "Assertion   none: the upstream names no" in capsys.readouterr().out
        name_file(tmp_path)
        assert check(["GET", "/open/x", "--file", str(routes)]) == 0
        told = capsys.readouterr().out
        assert "Assertion   signed for shop; secrets in its file: 2, the first signs" in told
        assert check(["GET", "/api/v1/users/me", "--as", "user"]) == 0
        assert "Assertion   signed for identity" in capsys.readouterr().out


async def _start(tmp_path: Path) -> None:
    async with start_world(tmp_path):
        pass


class TestDocumentedProduct:
    """The product of the document, as it stands there."""

    async def test_greets_whom_the_gateway_sends_and_nobody_else(
        self, shop: World, tmp_path: Path, documented: str
    ) -> None:
        """Also not who says to be somebody, at its own door."""
        routes = tmp_path / "routes.toml"
        routes.write_text(re.sub(r'url = "[^"]+"', f'url = "{documented}"', routes.read_text()))
        await reload(shop)
        ann = Subject()
        answer = await shop.ask("GET", "/shop/hello?a=b", headers=shop.bearer(ann))
        assert (answer.status, answer.body) == (200, f"Hello {ann.sub}\n".encode())
        assert (await shop.ask("GET", "/open/hello")).body == b"Hello stranger\n"
        for headers in ({}, {"X-Auth-Subject": str(ann.sub)}, {"Gatehouse-Assertion": "e30.e30"}):
            async with shop.client.get(f"{documented}/shop/hello", headers=headers) as refused:
                assert refused.status == 401


@pytest.fixture
async def documented(tmp_path: Path, shop: World) -> AsyncIterator[str]:
    """Run the product of the document on a free port."""
    del shop  # it has written the secrets
    port = free_port()
    (tmp_path / "verifying.py").write_text(block("`verifying.py`"))
    code = block("`shop.py`").replace("9001", str(port))
    (tmp_path / "shop.py").write_text(code.replace("shop.secrets", f"{tmp_path}/shop.secrets"))
    process = Child(
        [sys.executable, str(tmp_path / "shop.py")], log=tmp_path / "log", env=os.environ
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await eventually(lambda: _answers(url))
        yield url
    finally:
        process.stop()


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as client, client.get(url):
            return True
    except aiohttp.ClientError:
        return False


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process alone."""
    monkeypatch.setattr("gateway.check.command.configure", lambda **_: None)
