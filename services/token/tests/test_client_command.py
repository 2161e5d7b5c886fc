"""`python -m services.token clients …`, as an operator runs it: a process of its own."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from services.token.domain.clients import ClientSecret, SecretDigest
from services.token.oauth_clients import load_clients

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
SECRET = re.compile(r"client_secret  (gh_cs_[\w-]{43}) ")


async def _run(*arguments: str) -> tuple[int, str, str]:
    """Run the command with no setting at all: exit code, answer, what people are told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.token", "clients", *arguments),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def _shown(err: str) -> ClientSecret:
    match = SECRET.search(err)
    assert match, err
    return ClientSecret(match[1])


class TestNew:
    """`clients new NAME`."""

    async def test_makes_a_client_that_the_file_takes(self, tmp_path: Path) -> None:
        """What is appended holds no secret; what is shown is the secret."""
        file = tmp_path / "clients.toml"
        secrets = {}
        for arguments in (
            ('Orders "API"',),
            ("Helpdesk", "--introspect", "all", "--revoke", "--audience", "a", "--audience", "b"),
            ("Ümlaut", "--id", "sweeper", "--introspect", "none", "--revoke"),
        ):
            code, out, err = await _run("new", *arguments)
            assert code == 0, err
            assert "gh_cs_" not in out
            with file.open("a") as opened:
                opened.write(out)
            secrets[arguments[0]] = _shown(err)

        clients = load_clients(file)

        orders, helpdesk, sweeper = clients["orders-api"], clients["helpdesk"], clients["sweeper"]
        assert orders.name == 'Orders "API"'
        introspects = [sorted(client.introspects) for client in (orders, helpdesk, sweeper)]
        assert introspects == [["access_token"], ["access_token", "refresh_token"], []]
        assert [client.revokes for client in (orders, helpdesk, sweeper)] == [False, True, True]
        assert [sorted(client.audiences) for client in (orders, helpdesk)] == [
            ["gatehouse"],
            ["a", "b"],
        ]
        assert all(
            client.has(s) for client, s in zip(clients.values(), secrets.values(), strict=True)
        )

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("日本",), "give one with --id"),
            (("x", "--id", "A b"), "'A b' cannot be a client_id"),
            (("Orders", "--introspect", "none"), "it may do nothing"),
            (("a\nb", "--id", "orders"), "printable"),
            (("n" * 129,), "at most 128"),
        ],
    )
    async def test_says_what_it_cannot_take(self, arguments: tuple[str, ...], said: str) -> None:
        """And makes no secret."""
        code, out, err = await _run("new", *arguments)

        assert (code, out) == (1, "")
        assert said in err
        assert "gh_cs_" not in err


class TestSecret:
    """`clients secret`."""

    async def test_makes_another_digest_for_the_list(self) -> None:
        """A line for `secrets = […]`."""
        code, out, err = await _run("secret")

        assert code == 0
        assert SecretDigest.parse(out.strip().strip('"')).matches(_shown(err))


class TestCheck:
    """`clients check FILE`."""

    async def test_lists_whom_token_would_know(self, tmp_path: Path) -> None:
        """Without digests."""
        file = tmp_path / "clients.toml"
        _, block, _ = await _run("new", "Orders API", "--revoke")
        file.write_text(block)

        code, out, err = await _run("check", str(file))

        assert (code, err) == (0, "")
        assert out == "orders-api  Orders API  access_token, revoke  1 secret\n1 clients\n"

    async def test_says_what_is_wrong(self, tmp_path: Path) -> None:
        """With exit 1."""
        (tmp_path / "clients.toml").write_text("[[client]]\n")

        code, out, err = await _run("check", str(tmp_path / "clients.toml"))

        assert (code, out) == (1, "")
        assert "client 1.client_id: Field required" in err


async def test_the_help_shows_examples() -> None:
    """Of every command."""
    code, out, _ = await _run("--help")

    assert code == 0
    for name in ("new", "secret", "check"):
        assert f"python -m services.token clients {name}" in out


async def test_a_file_that_does_not_hold_stops_the_start(tmp_path: Path) -> None:
    """Exit 78, naming file, client and field."""
    file = tmp_path / "clients.toml"
    file.write_text('[[client]]\nclient_id = "orders"\n')
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"
    names = ("ASSERTION_SECRETS_FROM_GATEWAY", "ASSERTION_SECRETS_FROM_IDENTITY")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.token"),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "ISSUER": "https://auth.example",
            "IDENTITY_URL": "http://127.0.0.1:1",
            "DATABASE_URL": "postgresql+asyncpg://nowhere/x",
            "RABBITMQ_URL": "amqp://nowhere",
            **dict.fromkeys((*names, "ASSERTION_SECRETS_TO_IDENTITY"), secret),
            "SIGNING_KEY_ENCRYPTION_KEYS": secret,
            "OAUTH_CLIENTS_FILE": str(file),
        },
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    _, err = await process.communicate()

    assert process.returncode == 78
    assert f"OAUTH_CLIENTS_FILE {file}: client 1 (orders).name: Field required" in err.decode()
