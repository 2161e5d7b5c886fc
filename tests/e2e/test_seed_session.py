"""The session of the specification this platform grew from: its curl lines as they stand there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platforms.five import FiveProcesses
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.platform import Platform
from tests.platforms.shell import paste
from tests.platforms.single import SingleProcess

SESSION = """\
# Register user
curl -X POST "http://localhost:8000/api/v1/auth/register" \\
  -H "Content-Type: application/json" \\
  -d '{
    "email": "user@example.com",
    "username": "testuser",
    "password": "SecurePass123!"
  }'

# Login
curl -X POST "http://localhost:8000/api/v1/auth/login" \\
  -H "Content-Type: application/json" \\
  -d '{
    "username": "testuser",
    "password": "SecurePass123!"
  }'

# Refresh token
curl -X POST "http://localhost:8000/api/v1/auth/refresh" \\
  -H "Content-Type: application/json" \\
  -d '{
    "refresh_token": "your-refresh-token-here"
  }'
"""
README = Path(__file__).resolve().parent.parent.parent / "README.md"


@pytest.fixture(
    params=[
        pytest.param("one process", marks=pytest.mark.slow),
        pytest.param("five processes", marks=pytest.mark.real),
    ]
)
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    """Start a platform that has never seen this user, with all settings at their defaults."""
    if request.param == "one process":
        running: Platform = SingleProcess(tmp_path)
    else:
        running = FiveProcesses(tmp_path, request.getfixturevalue("parts"))
    running.start()
    yield running
    running.stop()


async def test_it_works_line_by_line(platform: Platform) -> None:
    """201, 200, 200; between the first two lies the verification that it asks for elsewhere."""
    host = platform.base_url.removeprefix("http://")
    register, login, refresh = SESSION.replace("localhost:8000", host).split("\n\n")

    status, user = paste(register)
    assert (status, user["username"], user["is_verified"]) == (201, "testuser", False)
    refused, problem = paste(login)
    assert (refused, problem["code"]) == (403, "email_not_verified")
    mail = await wait_for_mail(platform.mailbox, "user@example.com", containing="verify-email")
    verify = login.replace("auth/login", "auth/email/verify").partition("-d '")[0]
    assert paste(f'{verify}-d \'{{"token": "{mail.token}"}}\'')[0] == 200

    status, tokens = paste(login)
    assert (status, tokens["token_type"], tokens["expires_in"]) == (200, "Bearer", 900)
    status, renewed = paste(refresh.replace("your-refresh-token-here", tokens["refresh_token"]))
    assert status == 200
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert renewed["access_token"] != tokens["access_token"]


def test_the_readme_keeps_its_lines() -> None:
    """The README shows the same commands, under shorter comments."""
    commands = [paragraph.partition("\n")[2].strip() for paragraph in SESSION.split("\n\n")]
    text = README.read_text(encoding="utf-8")
    assert [command for command in commands if command not in text] == []
