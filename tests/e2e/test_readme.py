"""The README's own lines, as a newcomer pastes them."""

import re
from pathlib import Path

from chassis.testing import eventually
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.shell import paste

README = Path(__file__).resolve().parent.parent.parent / "README.md"


def _steps(platform: Platform, after: str = "## Try it") -> dict[str, str]:
    """Return the paragraphs of the first block after some words, by the first word of each."""
    text = README.read_text(encoding="utf-8")
    block = re.search(re.escape(after) + r".*?\n\n```bash\n(.*?)```", text, re.DOTALL)
    assert block is not None
    lines = block[1].replace("Origin: http://localhost:8000", f"Origin: {platform.origin}")
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
