"""What `make run` refuses before it starts anything."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def _start(data_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "allinone"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_complaint_of_every_deployable_comes_at_once(tmp_path: Path) -> None:
    """Exit 78, one line each, and no PostgreSQL was started for it."""
    done = _start(
        tmp_path / "data",
        RATE_LIMIT_LOGIN="lots",
        MIN_PASSWORD_LENGTH="x",
        TRUSTED_PROXIES="0.0.0.0/0",
        ACCESS_TOKEN_EXPIRE_MINUTES="never",
    )
    assert done.returncode == 78
    for name in (
        "RATE_LIMIT_LOGIN",
        "MIN_PASSWORD_LENGTH",
        "TRUSTED_PROXIES",
        "ACCESS_TOKEN_EXPIRE_MINUTES",
    ):
        assert done.stderr.count(f"  {name}: ") == 1, done.stderr
    assert not (tmp_path / "data" / "postgres").exists()
