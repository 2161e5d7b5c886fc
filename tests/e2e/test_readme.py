"""The README's own lines, as a newcomer pastes them."""

import json
import re
import subprocess
from pathlib import Path

from tests.platforms.mailbox import wait_for_mail
from tests.platforms.platform import Platform

README = Path(__file__).resolve().parent.parent.parent / "README.md"
TELL_STATUS = "curl -s -w '\\nSTATUS %{http_code}\\n' -X POST"


def _steps(base_url: str) -> dict[str, str]:
    """Return the paragraphs of the block under "Try it", by the first word of their comment."""
    text = README.read_text(encoding="utf-8")
    block = re.search(r"## Try it\n\n```bash\n(.*?)```", text, re.DOTALL)
    assert block is not None
    paragraphs = block[1].replace("http://localhost:8000", base_url).split("\n\n")
    return {paragraph.split()[1].rstrip(":"): paragraph for paragraph in paragraphs}


def _paste(lines: str) -> tuple[int, dict[str, str]]:
    """Run *lines* in a shell; return the status of its POST and the answer."""
    done = subprocess.run(  # noqa: S603 - the README's own lines
        ["bash", "-eu", "-o", "pipefail", "-c", lines.replace("curl -X POST", TELL_STATUS)],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\nSTATUS ")
    return int(status), json.loads(body or "{}")


async def test_the_readmes_session_works_as_it_stands(platform: Platform) -> None:
    """Register 201, verify 200, log in 200, refresh 200."""
    steps = _steps(platform.base_url)
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
