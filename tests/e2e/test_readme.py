"""The README's own lines, as a newcomer pastes them."""

import re
from pathlib import Path

from tests.platforms.mailbox import wait_for_mail
from tests.platforms.platform import Platform
from tests.platforms.shell import paste

README = Path(__file__).resolve().parent.parent.parent / "README.md"


def _steps(base_url: str) -> dict[str, str]:
    """Return the paragraphs of the block under "Try it", by the first word of their comment."""
    text = README.read_text(encoding="utf-8")
    block = re.search(r"## Try it\n\n```bash\n(.*?)```", text, re.DOTALL)
    assert block is not None
    paragraphs = block[1].replace("http://localhost:8000", base_url).split("\n\n")
    return {paragraph.split()[1].rstrip(":"): paragraph for paragraph in paragraphs}


async def test_the_readmes_session_works_as_it_stands(platform: Platform) -> None:
    """Register 201, verify 200, log in 200, refresh 200."""
    steps = _steps(platform.base_url)
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
