"""What a process loads before it does anything: it holds that for as long as it runs."""

import subprocess
import sys

import pytest

_NOWHERE = frozenset(
    {
        "aiohttp",
        "alembic",
        "chassis.testing",
        "dotenv",
        "httpx",
        "jinja2",
        "pydantic_settings",
        "redis",
        "requests",
        "starlette.testclient",
    }
)
_DATABASE = frozenset({"asyncpg", "sqlalchemy"})
_BROKER = frozenset({"aio_pika", "aiormq", "pamqp"})
_SIGNING = frozenset({"cryptography.x509", "jwt"})


@pytest.mark.parametrize(
    ("deployable", "unwanted"),
    [
        ("gateway.app", _NOWHERE | _DATABASE | _BROKER | _SIGNING),
        ("gateway.__main__", _NOWHERE | _DATABASE | _BROKER | _SIGNING | {"gateway.app"}),
        ("services.token.app", _NOWHERE),
    ],
)
def test_it_loads_nothing_it_can_do_without(deployable: str, unwanted: frozenset[str]) -> None:
    """A client of what may not be there is imported where it is opened, a tool by its command."""
    script = f"import sys, {deployable}; print(*sys.modules)"

    shown = subprocess.run(  # noqa: S603 - this interpreter, a constant program
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )

    assert unwanted & set(shown.stdout.split()) == set()
