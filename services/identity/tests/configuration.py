"""The settings identity's tests run with: fixed secrets, cheap hashes, token away."""

from pathlib import Path
from typing import Any

from chassis.testing import FreshDatabase
from services.identity.hashing import Argon2Parameters
from services.identity.settings import IdentitySettings

MIGRATIONS = Path("services/identity/migrations").resolve()
GATEWAY_SECRET = b"gateway to identity gateway to id"
TOKEN_SECRET = b"token to identity token to identi"
TO_TOKEN_SECRET = b"identity to token identity to tok"
MAIL_KEY = b"mail secrets key mail secrets ke"
IDENTITY_KEY = b"identity key identity key identit"
CHEAP = Argon2Parameters(memory_kib=8, passes=1)
PASSWORD = "Correct-Horse-1"
NEW_PASSWORD = "Staple-Battery-2"
ADDRESS = "198.51.100.7"


def settings_for(database: FreshDatabase, **overrides: Any) -> IdentitySettings:
    """Return settings of a service on *database*; its token service is away."""
    values: dict[str, Any] = {
        "environment": "development",
        "port": 0,
        "ops_port": 0,
        "database_url": database.app_url,
        "database_pool_min": 2,
        "token_url": "http://127.0.0.1:9",
        "assertion_secrets_from_gateway": (GATEWAY_SECRET,),
        "assertion_secrets_from_token": (TOKEN_SECRET,),
        "assertion_secrets_to_token": (TO_TOKEN_SECRET,),
        "identity_key": (IDENTITY_KEY,),
        "mail_secrets_keys": (MAIL_KEY,),
    }
    return IdentitySettings(**{**values, **overrides})
