"""The reference of the API: two pages and two documents, all from here."""

import json
import re
from pathlib import Path

import pytest

from gateway.pages.hosted import DOCS
from gateway.tests.world import World
from gateway.tests.world import world as start_world

PAGES = ["/docs", "/redoc"]
DOCUMENTS = ["/openapi.json", "/asyncapi.json"]


def _directives(policy: str) -> dict[str, list[str]]:
    """Return the sources of each directive."""
    parts = [part.split() for part in policy.split(";")]
    return {name: sources for name, *sources in parts}


class TestPages:
    """To be read in a browser, without trusting anything else."""

    @pytest.mark.parametrize("path", PAGES)
    async def test_run_no_script_but_ours(self, world: World, path: str) -> None:
        """Neither inline code nor another origin; inline styles only by their hash."""
        answer = await world.ask("GET", path)

        policy = _directives(answer.headers["Content-Security-Policy"])
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert policy["default-src"] == ["'none'"]
        assert policy["script-src"] == policy["connect-src"] == ["'self'"]
        assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
        assert not re.search(r"unsafe|\*|https?:", answer.headers["Content-Security-Policy"])

    @pytest.mark.parametrize("path", PAGES)
    async def test_need_nothing_but_what_is_served_here(self, world: World, path: str) -> None:
        """Every file a page names is there, and none is anywhere else."""
        page = (await world.ask("GET", path)).body.decode()
        links = re.findall(r"""(?:src|href)="([^"]+)\"""", page)
        assets = [link for link in links if link != "data:,"]
        answers = [await world.ask("GET", link) for link in assets]

        assert [answer.status for answer in answers] == [200] * len(assets)
        assert all(link.startswith("/") for link in assets)
        assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", page)

    def test_fetch_no_picture_from_elsewhere(self) -> None:
        """Redoc as it comes shows its maker's logo from a CDN; ours does not."""
        for script in (DOCS / "vendored").glob("*.js"):
            assert not re.search(r"https?://cdn\.", script.read_text(encoding="utf-8"))

    async def test_are_not_sent_twice(self, world: World) -> None:
        """Who still has the file gets a 304."""
        first = await world.ask("GET", "/docs/redoc.js")
        headers = {"If-None-Match": first.headers["ETag"]}
        again = await world.ask("GET", "/docs/redoc.js", headers=headers)

        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]


class TestDocuments:
    """For programs."""

    @pytest.mark.parametrize("path", DOCUMENTS)
    async def test_are_json(self, world: World, path: str) -> None:
        """What the repository holds is what is served."""
        answer = await world.ask("GET", path)

        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        assert answer.document == json.loads((DOCS / path[1:]).read_text(encoding="utf-8"))


class TestSwitch:
    """DOCS_ENABLED."""

    async def test_is_off_in_production(self, tmp_path: Path) -> None:
        """Nobody is told more than needed."""
        async with start_world(tmp_path, environment="production") as world:
            answers = [await world.ask("GET", path) for path in (*PAGES, *DOCUMENTS)]
        assert [answer.status for answer in answers] == [404] * 4

    async def test_turns_it_on_in_production(self, tmp_path: Path) -> None:
        """An operator may want it."""
        async with start_world(tmp_path, environment="production", docs_enabled=True) as world:
            answers = [await world.ask("GET", path) for path in (*PAGES, *DOCUMENTS)]
        assert [answer.status for answer in answers] == [200] * 4

    async def test_turns_it_off_in_development(self, tmp_path: Path) -> None:
        """And back."""
        async with start_world(tmp_path, docs_enabled=False) as world:
            answers = [await world.ask("GET", path) for path in (*PAGES, *DOCUMENTS)]
        assert [answer.status for answer in answers] == [404] * 4
