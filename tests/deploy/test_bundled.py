"""deploy/bundled: the secrets of a bundled installation are made once and fit together."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError
from sqlalchemy.engine import make_url

from chassis.clock import SystemClock
from chassis.crypto import parse_keys
from chassis.jwt import AccessToken
from chassis.rates import Rate
from chassis.testing.servers import RedisServer
from gateway.errors import TokenRevoked
from gateway.limits.limiter import Demand
from gateway.limits.redis import RedisLimiter
from services.token.domain.revocations import Revocation
from services.token.shared_denylist import SharedDenyList
from tests.deploy.files import ROOT, SERVICES, of_kind, secrets_maker

Client = TypeVar("Client", SharedDenyList, RedisLimiter)

MAKER = ROOT / "deploy" / "bundled" / "make_secrets.py"


def _run(folder: Path, *options: str) -> str:
    """Run the script as the first container does."""
    return subprocess.run(  # noqa: S603 - this interpreter, our script
        [sys.executable, str(MAKER), str(folder), *options],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestMakingSecrets:
    """`make_secrets.py FOLDER`."""

    def test_a_second_run_changes_nothing(self, tmp_path: Path) -> None:
        """Passwords outlive every `docker compose up`."""
        _run(tmp_path)
        first = _files(tmp_path)

        _run(tmp_path)

        assert _files(tmp_path) == first

    def test_a_newer_release_gets_what_it_wants_besides(self, tmp_path: Path) -> None:
        """What exists is kept, what is missing is made."""
        _run(tmp_path)
        ledger = tmp_path / "ledger" / "values.json"
        values = json.loads(ledger.read_text())
        missing = values.pop("identity_key")
        ledger.write_text(json.dumps(values))

        _run(tmp_path)

        renewed = json.loads(ledger.read_text())
        assert renewed.items() >= values.items()
        assert renewed["identity_key"] != missing

    def test_two_installations_share_nothing(self, tmp_path: Path) -> None:
        """Nothing is built in."""
        _run(tmp_path / "one")
        _run(tmp_path / "two")

        one, two = (
            set(json.loads((tmp_path / name / "ledger" / "values.json").read_text()).values())
            for name in ("one", "two")
        )
        assert not one & two

    def test_the_ledger_is_private(self, tmp_path: Path) -> None:
        """It holds every secret."""
        _run(tmp_path)

        assert (tmp_path / "ledger" / "values.json").stat().st_mode & 0o777 == 0o600

    def test_the_manifests_hold_what_the_dev_overlay_mounts(self, tmp_path: Path) -> None:
        """`--kubernetes` prints one Secret per holder, in the overlay's namespace."""
        listed = json.loads(_run(tmp_path, "--kubernetes", "gatehouse-dev"))

        (namespace,) = of_kind("overlays/dev", "Namespace")
        assert {item["metadata"]["namespace"] for item in listed["items"]} == {namespace}
        assert {item["metadata"]["name"] for item in listed["items"]} == {
            f"gatehouse-{holder}" for holder in secrets_maker().render(str)
        }


@pytest.mark.real
class TestCacheUsers:
    """What a real server makes of users.acl."""

    @pytest.fixture
    async def urls(
        self, redis: RedisServer, redis_url: str, tmp_path: Path
    ) -> AsyncIterator[dict[str, str]]:
        """Give the URL of each user, who exists until the test is over."""
        _run(tmp_path)
        _, *lines = (tmp_path / "redis" / "users.acl").read_text().splitlines()
        users = {line.split()[1]: line.split()[2:] for line in lines}
        server = make_url(redis_url)
        async with Redis.from_url(redis_url) as admin:
            for name, rules in users.items():
                await _command(admin, "ACL", "SETUSER", name, "reset", *rules)
            given = {name: make_url((tmp_path / name / "redis_url").read_text()) for name in users}
            yield {
                name: url.set(host=server.host, port=server.port).render_as_string(
                    hide_password=False
                )
                for name, url in given.items()
            }
            await _command(admin, "ACL", "DELUSER", *users)
        assert redis

    async def test_each_may_what_it_has_to(self, urls: dict[str, str]) -> None:
        """Token writes the deny list; a gateway counts, probes, and is told."""
        clock = SystemClock()
        until = clock.now() + timedelta(minutes=1)
        token = _token(sid := uuid4())
        demands = [Demand("account", "ada", Rate.parse("5/minute"))]
        async with _open(SharedDenyList.from_url(urls["token"])) as shared:
            await shared.write([Revocation.of_session(sid, until)], now=clock.now())
            await shared.mark_filled()
        async with _open(RedisLimiter.from_url(urls["gateway"], timeout=5)) as limiter:
            await limiter.check()
            assert (await limiter.decide(demands, _token(uuid4()))).allowed
            with pytest.raises(TokenRevoked):
                await limiter.decide(demands, token)

    @pytest.mark.parametrize(
        ("user", "command"),
        [
            ("gateway", "GET other"),
            ("token", "GET gatehouse:limit:x"),
            ("token", "FLUSHALL"),
            ("gateway", "CONFIG GET *"),
            ("token", "KEYS *"),
        ],
    )
    async def test_none_may_more(self, urls: dict[str, str], user: str, command: str) -> None:
        """Neither the other's keys nor the server."""
        async with Redis.from_url(urls[user]) as client:
            with pytest.raises(NoPermissionError):
                await _command(client, *command.split())


class TestWhatIsMade:
    """Both ends of each secret hold the same."""

    def test_every_edge_has_a_secret_of_its_own(self, tmp_path: Path) -> None:
        """Who signs holds what the callee verifies with, of at least 32 bytes."""
        _run(tmp_path)
        seen = set()

        for issuer, audience in secrets_maker().EDGES:
            signs = (tmp_path / issuer / f"assertion_secrets_to_{audience}").read_text()
            assert (tmp_path / audience / f"assertion_secrets_from_{issuer}").read_text() == signs
            assert len(parse_keys(signs)[0]) == 32
            seen.add(signs)

        assert len(seen) == len(secrets_maker().EDGES)

    def test_the_roles_get_the_passwords_of_the_urls(self, tmp_path: Path) -> None:
        """What provision.py sets is what services and migrations use."""
        _run(tmp_path)

        for service in SERVICES:
            for folder, name, kind in (
                (service, "database_url", "app"),
                (f"{service}-migrate", "database_url", "app"),
                (f"{service}-migrate", "database_owner_url", "owner"),
            ):
                url = make_url((tmp_path / folder / name).read_text())
                given = (tmp_path / "databases" / f"{service}_{kind}_password").read_text()
                assert (url.username, url.password) == (f"{service}_{kind}", given)
                assert url.database == service

    def test_the_broker_and_the_cache_know_their_users(self, tmp_path: Path) -> None:
        """By hashes; nobody is called guest, nobody enters without a name."""
        _run(tmp_path)
        definitions = json.loads((tmp_path / "rabbitmq" / "definitions.json").read_text())
        users = {user["name"]: user for user in definitions["users"]}
        acl = (tmp_path / "redis" / "users.acl").read_text()

        assert users.keys() == {*SERVICES, "gateway"}
        for name, user in users.items():
            password = make_url((tmp_path / name / "rabbitmq_url").read_text()).password or ""
            stored = base64.b64decode(user["password_hash"])
            assert stored[4:] == hashlib.sha256(stored[:4] + password.encode()).digest()
        assert acl.startswith("user default off\n")
        cache = make_url((tmp_path / "gateway" / "redis_url").read_text()).password or ""
        assert f"user gateway on #{hashlib.sha256(cache.encode()).hexdigest()} " in acl


def _token(sid: UUID) -> AccessToken:
    now = SystemClock().now()
    return AccessToken(
        sub=str(uuid4()),
        sid=str(sid),
        jti=uuid4().hex,
        iat=now,
        exp=now + timedelta(minutes=15),
        auth_time=now,
        amr=("pwd",),
        roles=frozenset({"user"}),
        scope="",
        ver=1,
        kid="k",
    )


@asynccontextmanager
async def _open(client: Client) -> AsyncIterator[Client]:
    try:
        yield client
    finally:
        await client.close()


async def _command(client: Redis, *words: str) -> None:
    await client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py has no types here
