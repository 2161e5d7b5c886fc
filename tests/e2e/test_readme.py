"""The README's own lines, as a newcomer pastes them."""

import json
import re
import subprocess
from pathlib import Path

from chassis.testing import eventually
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import Person
from tests.platforms.platform import Platform

README = Path(__file__).resolve().parent.parent.parent / "README.md"
TELL_STATUS = "curl -s -w '\\nSTATUS %{http_code}\\n'"


def _steps(platform: Platform, after: str = "## Try it") -> dict[str, str]:
    """Return the paragraphs of the first block after some words, by the first word of each."""
    text = README.read_text(encoding="utf-8")
    block = re.search(re.escape(after) + r".*?\n\n```bash\n(.*?)```", text, re.DOTALL)
    assert block is not None
    lines = block[1].replace("Origin: http://localhost:8000", f"Origin: {platform.origin}")
    paragraphs = lines.replace('"http://localhost:8000', f'"{platform.base_url}').split("\n\n")
    return {paragraph.split()[1].rstrip(":"): paragraph for paragraph in paragraphs}


def _paste(lines: str, folder: Path | None = None) -> tuple[int, dict[str, str]]:
    """Run *lines* in a shell; return the status of its request and the answer."""
    asked = re.sub(r"^curl ", lambda _: f"{TELL_STATUS} ", lines, flags=re.MULTILINE)
    done = subprocess.run(  # noqa: S603 - the README's own lines
        ["bash", "-eu", "-o", "pipefail", "-c", asked],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\nSTATUS ")
    return int(status), json.loads(body or "{}")


async def test_the_readmes_session_works_as_it_stands(platform: Platform) -> None:
    """Register 201, verify 200, log in 200, refresh 200."""
    steps = _steps(platform)
    assert _paste(steps["Register"])[0] == 201
    mail = await wait_for_mail(platform.mailbox, "user@example.com", containing="verify-email")
    verify = steps["Verify"]
    if platform.shape != "one process":  # there is no local inbox to take the token from
        verify = re.sub(r"TOKEN=\$\(.*?\)\n", f"TOKEN={mail.token}\n", verify, flags=re.DOTALL)
    assert _paste(verify)[0] == 200
    status, tokens = _paste(steps["Log"])
    assert status == 200
    refresh = steps["Refresh"].replace("your-refresh-token-here", tokens["refresh_token"])
    status, renewed = _paste(refresh)
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
    status, session = _paste(login.replace("SecurePass123!", person.password), tmp_path)
    assert (status, set(session)) == (200, {"expires_in", "session_id"})
    status, me = _paste(steps["Read"], tmp_path)
    assert (status, me["username"]) == (200, person.username)
    assert [_paste(steps[name], tmp_path)[0] for name in ("Refresh", "Out")] == [200, 200]

    async def over() -> bool:
        return _paste(steps["Read"], tmp_path)[0] == 401

    await eventually(over, within=5)
