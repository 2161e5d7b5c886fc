"""The key a running platform signs with, taken out of its database as only its operator could."""

import asyncpg

from chassis.crypto import parse_keys
from chassis.provisioning import Role, database_url
from services.token.domain.keys import KeyLife
from services.token.keys import SigningKey, StoredKey
from tests.platforms.five import FiveProcesses
from tests.platforms.platform import Platform
from tests.platforms.single import SingleProcess

_ACTIVE = "SELECT * FROM signing_keys WHERE state = 'active'"


async def signing_key(platform: Platform) -> SigningKey:
    """Return the key that is active now, opened."""
    url, encryption_keys = _token_of(platform)
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        row = await connection.fetchrow(_ACTIVE)
    finally:
        await connection.close()
    life = KeyLife(
        kid=row["kid"],
        algorithm=row["algorithm"],
        state="active",
        published_at=row["published_at"],
    )
    stored = StoredKey(life=life, public_jwk={}, sealed_private_key=row["sealed_private_key"])
    return stored.opened(parse_keys(encryption_keys))


def _token_of(platform: Platform) -> tuple[str, str]:
    """Return the URL of token's database, and what its keys are sealed under."""
    if isinstance(platform, FiveProcesses):
        environment = platform.processes["token"].environment
        return environment["DATABASE_URL"], environment["SIGNING_KEY_ENCRYPTION_KEYS"]
    assert isinstance(platform, SingleProcess)
    secrets = platform.data_dir / "secrets"
    port = (platform.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[3]
    app = Role("token_app", (secrets / "token_app_password").read_text(encoding="ascii"))
    server = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    url = database_url(server, database="token", role=app)
    return url, (secrets / "signing_key_encryption_key").read_text(encoding="ascii")
