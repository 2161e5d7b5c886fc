"""The data folder: secrets are made once, kept, and nobody else may read them."""

import os
import stat
from pathlib import Path

from allinone.datadir import DataDir
from chassis.crypto import parse_keys


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    """The second start reads what the first has made."""
    first = DataDir(tmp_path / "data").secret("identity_key")
    assert DataDir(tmp_path / "data").secret("identity_key") == first
    assert len(parse_keys(first)[0]) == 32


def test_secrets_differ(tmp_path: Path) -> None:
    """Each name has its own."""
    data = DataDir(tmp_path / "data")
    assert data.secret("a") != data.secret("b")


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """0700 for folders, 0600 for files."""
    data = DataDir(tmp_path / "data")
    data.secret("a")
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (data.path, data.path / "secrets", data.path / "secrets" / "a")
    }
    assert modes == {"data": 0o700, "secrets": 0o700, "a": 0o600}


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    """Secrets that were restored or copied with the wrong rights are out of reach again."""
    secrets = tmp_path / "data" / "secrets"
    secrets.mkdir(parents=True)
    secrets.chmod(0o777)
    DataDir(tmp_path / "data")
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700


def test_a_draft_left_by_a_crash_is_no_secret(tmp_path: Path) -> None:
    """A half written file is made anew."""
    data = DataDir(tmp_path / "data")
    (data.path / "secrets" / "a.draft").write_text("half")
    assert len(data.secret("a")) == 43


def test_the_process_id_stands_in_the_folder(tmp_path: Path) -> None:
    """As long as the process runs."""
    data = DataDir(tmp_path / "data")
    data.claim()
    assert int(data.pid_file.read_text()) == os.getpid()
    data.release()
    assert not data.pid_file.exists()
