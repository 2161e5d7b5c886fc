"""docs/seed.md stays true: what it names exists, and it names all that was specified."""

import re
import tomllib

import pytest
import sqlalchemy as sa

import services.audit.models
import services.identity.models
import services.token.models
from gateway.routing.loading import BUILT_IN
from tests.tables import ROOT, missing, named, rows_of

TEXT = (ROOT / "docs" / "seed.md").read_text(encoding="utf-8")
PAGE, _, TABLES = TEXT.partition("\n## Tables\n")
ROWS = rows_of(PAGE)
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if "=" in line and not line.startswith("#")
)
MODELS: dict[str, sa.MetaData] = {
    "services/identity/models.py": services.identity.models.metadata,
    "services/token/models.py": services.token.models.metadata,
    "services/audit/models/log.py": services.audit.models.METADATA,
}

# What the original specification lists.
ENDPOINTS = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/logout",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/password-reset",
    "POST /api/v1/auth/password-reset/verify",
    "POST /api/v1/auth/email/verify",
    "POST /api/v1/auth/email/resend-verification",
    "GET /docs",
    "GET /redoc",
}
SETTINGS = {
    "ACCESS_TOKEN_EXPIRE_MINUTES=15",
    "REFRESH_TOKEN_EXPIRE_DAYS=7",
    "MIN_PASSWORD_LENGTH=8",
    "REQUIRE_UPPERCASE=",
    "REQUIRE_NUMBERS=",
    "REQUIRE_SPECIAL_CHARS=",
    "MAX_LOGIN_ATTEMPTS=5",
    "LOCKOUT_DURATION_MINUTES=30",
    "RATE_LIMIT_PER_USER=10/minute",
    "RATE_LIMIT_PER_IP=50/minute",
    "RATE_LIMIT_LOGIN=5/minute",
    "RATE_LIMIT_REGISTER=3/minute",
    "RATE_LIMIT_PASSWORD_RESET=3/hour",
    "DATABASE_POOL_MIN=5",
    "DATABASE_POOL_MAX=20",
    "AUDIT_RETENTION_DAYS=90",
}
STATUSES = {"200", "201", "400", "401", "403", "409", "429", "500"}
USERS = {
    "id",
    "email",
    "username",
    "password_hash",
    "is_verified",
    "is_locked",
    "locked_until",
    "created_at",
    "last_login",
}
SPECIFIED_TABLES = {
    "Users",
    "Roles",
    "Sessions",
    "TokenBlacklist",
    "EmailVerification",
    "PasswordReset",
    "FailedLoginAttempt",
    "AuditLog",
}


def _column(number: int) -> list[str]:
    return [name for row in ROWS for name in named(row[number])]


def _endpoints() -> set[str]:
    return {name for name in _column(1) if re.match(r"[A-Z]+ /", name)}


def _settings() -> set[str]:
    return {name for name in _column(1) if re.match(r"[A-Z_]+=", name)}


class TestRows:
    """Each promise leads somewhere."""

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:70])
    def test_has_a_place_a_file_and_a_test(self, row: list[str]) -> None:
        """And all of them are there."""
        promise, place, files, tests = row

        assert promise
        assert place
        assert named(files)
        assert missing(files) == []
        assert named(tests)
        assert missing(tests) == []
        assert all("::" in name for name in named(tests))

    def test_no_promise_stands_twice(self) -> None:
        """One line each."""
        promises = [row[0] for row in ROWS]

        assert len(promises) == len(set(promises))

    def test_every_endpoint_is_routed(self) -> None:
        """By gateway/routes.toml."""
        routes = tomllib.loads(BUILT_IN.read_text(encoding="utf-8"))["route"]
        routed = {f"{method} {route['path']}" for route in routes for method in route["methods"]}

        assert _endpoints() - routed == set()

    def test_every_setting_has_the_default_it_names(self) -> None:
        """In .env.example, where an empty one is derived or has none."""
        for setting in _settings():
            name, _, value = setting.partition("=")
            assert name in EXAMPLE, name
            assert EXAMPLE[name] in (value, ""), setting


class TestTheSpecification:
    """Nothing of its lists is missing."""

    def test_every_endpoint_is_named(self) -> None:
        """Those of its chapter on the API, and the two references."""
        assert ENDPOINTS - _endpoints() == set()

    def test_every_setting_is_named_with_its_default(self) -> None:
        """Those of its chapter on configuration, the pool, and the retention."""
        assert SETTINGS - _settings() == set()

    def test_every_status_is_named(self) -> None:
        """Those of its chapter on errors."""
        assert STATUSES - set(_column(0)) == set()

    def test_every_table_is_there(self) -> None:
        """Under the name the page gives it, the users with every column."""
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in TABLES.splitlines()
            if line.startswith("| ") and not line.startswith("| Specification ")
        ]
        places = {row[0]: (named(row[1])[0], named(row[2])[0]) for row in rows}

        assert set(places) == SPECIFIED_TABLES
        for table, file in places.values():
            assert table in MODELS[file].tables, table
        users = MODELS[places["Users"][1]].tables["users"]
        assert {column.name for column in users.columns} >= USERS
