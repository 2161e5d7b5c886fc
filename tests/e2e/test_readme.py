"""The README's own lines, as a newcomer pastes them."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.processes import Child, free_port
from chassis.testing import eventually
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.shell import paste

README = Path(__file__).resolve().parent.parent.parent / "README.md"


def _block(language: str, after: str) -> str:
    """Return the first block of a language after some words."""
    text = README.read_text(encoding="utf-8")
    block = re.search(re.escape(after) + rf".*?\n\n```{language}\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block[1]


def _steps(platform: Platform, after: str = "## Try it") -> dict[str, str]:
    """Return the paragraphs of the first block after some words, by the first word of each."""
    lines = _block("bash", after)
    lines = lines.replace("Origin: http://localhost:8000", f"Origin: {platform.origin}")
    paragraphs = lines.replace('"http://localhost:8000', f'"{platform.base_url}').split("\n\n")
    return {paragraph.split()[1].rstrip(":"): paragraph for paragraph in paragraphs}


async def test_the_readmes_session_works_as_it_stands(platform: Platform) -> None:
    """Register 201, verify 200, log in 200, refresh 200."""
    steps = _steps(platform)
    assert paste(steps["Register"])[0] == 201
    mail = await wait_for_mail(platform.mailbox, "user@example.com", containing="verify-email")
    verify = steps["Verify"]
    if platform.shape != "one process":  # there is no local inbox to take the token from
        verify = re.sub(r"TOKEN=\$\(.*?\)\n", f"TOKEN={mail.token}\n", verify, flags=re.DOTALL)
    assert paste(verify)[0] == 200
    status, tokens = paste(steps["Log"])
    assert status == 200
    refresh = steps["Refresh"].replace("your-refresh-token-here", tokens["refresh_token"])
    status, renewed = paste(refresh)
    assert status == 200
    assert renewed["refresh_token"] != tokens["refresh_token"]


async def test_the_readmes_browser_session_works_as_it_stands(
    platform: Platform, person: Person, tmp_path: Path
) -> None:
    """Log in, read, refresh, log out: 200 each; then 401, also with cookies that curl has kept."""
    await person.register()
    await person.verify()
    steps = _steps(platform, "**Log in from a browser**")
    login = steps["Log"].replace("testuser", person.username)
    status, session = paste(login.replace("SecurePass123!", person.password), tmp_path)
    assert (status, set(session)) == (200, {"expires_in", "session_id"})
    status, me = paste(steps["Read"], tmp_path)
    assert (status, me["username"]) == (200, person.username)
    assert [paste(steps[name], tmp_path)[0] for name in ("Refresh", "Out")] == [200, 200]

    async def over() -> bool:
        return paste(steps["Read"], tmp_path)[0] == 401

    await eventually(over, within=5)


SHOP = "**Put a product behind the gateway.**"


@pytest.fixture
async def shop(platform: Platform, tmp_path: Path) -> AsyncIterator[str]:
    """Run the README's product on a free port; give its routes, which nobody has read yet."""
    port = free_port()
    (tmp_path / "shop.py").write_text(_block("python", SHOP).replace("9001", str(port)))
    command = [sys.executable, str(tmp_path / "shop.py")]
    process = Child(command, log=tmp_path / "shop.log", env=os.environ)
    try:
        await eventually(lambda: _listens(port))
        yield _block("toml", SHOP).replace("9001", str(port))
    finally:
        platform.routes_file.write_text("")
        platform.hang_up()
        process.stop()


async def test_the_readmes_product_stands_behind_the_gateway(
    platform: Platform, person: Person, shop: str, tmp_path: Path
) -> None:
    """Known after a reload: 401 for strangers, a greeting for users; and explained."""
    registered = (await person.register()).json()
    await person.verify()
    await person.login()
    steps = _steps(platform, SHOP)
    assert _status_of(steps["Ask"]) == "404"
    platform.routes_file.write_text(shop)
    platform.hang_up()
    await eventually(lambda: _status_of(steps["Ask"]) == "401")
    asked = f"ACCESS_TOKEN={person.access_token}\n{steps['Ask']}"
    assert _run(asked.replace("curl ", "curl -s ")) == f"Hello {registered['id']}\n"

    (tmp_path / "routes.toml").write_text(shop)
    ours = f"PYTHONPATH={README.parent} {sys.executable}"
    told = _run(steps["Explain"].replace(".venv/bin/python", ours), tmp_path)
    assert "Answer      the upstream's" in told


async def test_a_route_file_with_a_mistake_changes_nothing(platform: Platform, shop: str) -> None:
    """No process dies of the signal, and the routes stay those of before."""
    ask = _steps(platform, SHOP)["Ask"]
    platform.routes_file.write_text(shop)
    platform.hang_up()
    await eventually(lambda: _status_of(ask) == "401")
    platform.routes_file.write_text(shop.replace('access = "user"', 'access = "anybody"'))
    platform.hang_up()
    await eventually(lambda: "routes.not_reloaded" in platform.gateway_log.read_text())
    assert _status_of(ask) == "401"


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _status_of(ask: str) -> str:
    """Return the status of the request in *ask*, made without a token."""
    quiet = "curl -s -o /dev/null -w '%{http_code}' "
    return _run(f"ACCESS_TOKEN=\n{ask.replace('curl ', quiet)}")


def _run(lines: str, folder: Path | None = None) -> str:
    done = subprocess.run(  # noqa: S603 - the documentation's own lines
        ["bash", "-eu", "-o", "pipefail", "-c", lines],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout
