"""What no log may hold: the secrets of people and of the platform, in both shapes."""

from pathlib import Path

import pytest

from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import NEW_PASSWORD, Person
from tests.platforms.platform import Platform

pytestmark = pytest.mark.slow


async def _journey(person: Person) -> dict[str, str]:
    """Use every kind of secret once, rightly and wrongly; return them by what they are."""
    await person.join()
    tokens = dict(person.tokens)
    mail = await wait_for_mail(person._mailbox, person.email, containing="verify-email")
    secrets = {"verification token": mail.token, "password": person.password}
    for name in ("access_token", "refresh_token", "device_token"):
        secrets[name] = str(tokens[name])
    assert (await person.refresh()).is_success
    assert (await person.login("Mistyped-Horse-9!")).status_code == 401
    assert (await person.me(f"{tokens['access_token']}x")).status_code == 401
    assert (await person.refresh("gh_rt_forged-refresh-token")).status_code == 401
    assert (await person.ask_for_reset()).is_success
    mail = await wait_for_mail(person._mailbox, person.email, containing="reset-password")
    assert (await person.reset()).is_success
    assert (await person.login()).is_success
    secrets |= {"reset token": mail.token, "new password": NEW_PASSWORD}
    secrets |= {"next refresh token": person.tokens["refresh_token"], "address": person.email}
    return secrets | {"wrong password": "Mistyped-Horse-9!", "forged": "forged-refresh-token"}


class TestLogs:
    """Of every process, and of the embedded database."""

    async def test_hold_no_secret_of_a_person(self, platform: Platform, person: Person) -> None:
        """Passwords, tokens, links and the address; while each request left a line."""
        secrets = await _journey(person)

        logs = {path: path.read_text(errors="replace") for path in _logs(platform.folder)}
        assert any('"request.answered"' in text for text in logs.values())
        found = [
            (what, path.name)
            for path, text in logs.items()
            for what, secret in secrets.items()
            if secret in text
        ]
        assert found == []

    async def test_hold_no_secret_of_the_platform(self, platform: Platform) -> None:
        """Neither the administrator's password nor a key of any process."""
        secrets = {platform.admin_password, *platform.keys}

        assert len(secrets) > 5
        for path in _logs(platform.folder):
            text = path.read_text(errors="replace")
            assert not [secret for secret in secrets if secret in text], path.name


def _logs(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix == ".log" and path.is_file()]
