"""The pages the mails link to."""

import re
from pathlib import Path

import pytest

from gateway.pages.hosted import FOLDER
from gateway.tests.world import World
from gateway.tests.world import world as start_world

PAGES = ["/verify-email", "/reset-password", "/revert-email"]


class TestPages:
    """Static, strict, and without effect."""

    @pytest.mark.parametrize("path", PAGES)
    async def test_are_served_under_a_strict_policy(self, world: World, path: str) -> None:
        """No inline script could run, nobody may frame them, no address leaks."""
        answer = await world.ask("GET", path)
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert policy == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert world.identity.seen == []

    @pytest.mark.parametrize("path", PAGES)
    async def test_need_nothing_but_what_is_served_here(self, world: World, path: str) -> None:
        """Every file a page names is there, and none is anywhere else."""
        page = (await world.ask("GET", path)).body.decode()
        links = re.findall(r"""(?:src|href|data-endpoint)="([^"]+)\"""", page)
        assets = [await world.ask("GET", link) for link in links if link.startswith("/pages/")]
        assert len(assets) == 2
        assert [asset.status for asset in assets] == [200, 200]
        assert all(link.startswith("/") for link in links)
        assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", page)

    async def test_have_types_a_browser_accepts_under_nosniff(self, world: World) -> None:
        """A script must be called one."""
        types = [
            (await world.ask("GET", path)).headers["Content-Type"]
            for path in ("/pages/page.js", "/pages/page.css")
        ]
        assert types == ["text/javascript; charset=utf-8", "text/css; charset=utf-8"]

    def test_ask_for_a_new_password_as_managers_expect(self) -> None:
        """A manager may fill it, a person may paste it."""
        page = (FOLDER / "reset-password.html").read_text()
        script = (FOLDER / "page.js").read_text()
        assert 'autocomplete="new-password"' in page
        assert "paste" not in page + script

    def test_show_only_text(self) -> None:
        """What a server says is never markup."""
        script = (FOLDER / "page.js").read_text()
        assert "textContent" in script
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval", script)

    async def test_answer_head_and_nothing_else(self, world: World) -> None:
        """A GET changes nothing, a POST has nowhere to go."""
        head = await world.ask("HEAD", "/verify-email")
        post = await world.ask("POST", "/verify-email")
        assert (head.status, head.body, post.status) == (200, b"", 405)
        assert int(head.headers["Content-Length"]) > 0


class TestDevelopment:
    """What only a developer's machine shows."""

    async def test_has_an_index(self, world: World) -> None:
        """GET / names the endpoints."""
        assert (await world.ask("GET", "/")).document["name"] == "Gatehouse"

    async def test_is_over_in_production(self, tmp_path: Path) -> None:
        """GET / is 404, like the inbox."""
        async with start_world(tmp_path, environment="production") as world:
            answers = [await world.ask("GET", path) for path in ("/", "/dev/inbox")]
        assert [answer.status for answer in answers] == [404, 404]

    async def test_has_an_inbox_when_it_is_switched_on(self, tmp_path: Path) -> None:
        """Served by notify."""
        async with start_world(tmp_path, dev_inbox=True) as world:
            paths = ("/dev/inbox", "/dev/inbox/messages?to=a@b.example")
            answers = [await world.ask("GET", path) for path in paths]
        assert [answer.status for answer in answers] == [200, 200]
        assert [seen.target for seen in world.notify.seen] == list(paths)
