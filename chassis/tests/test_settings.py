"""Settings: from the environment or files, every complaint at once, no secret shown."""

from pathlib import Path

import pytest

from chassis.crypto import b64encode
from chassis.settings import KeyList, Settings, load


class Example(Settings):
    """Two settings that must be given, one that has a default."""

    port: int
    keys: KeyList
    limit: int = 5


KEY = b64encode(b"k" * 32)


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field's name in capitals is its variable; an empty one counts as not given."""
    monkeypatch.setenv("PORT", "8101")
    monkeypatch.setenv("KEYS", f"{KEY},{KEY}")
    monkeypatch.setenv("LIMIT", "")
    settings = load(Example)
    assert (settings.port, settings.keys, settings.limit) == (8101, (b"k" * 32,) * 2, 5)


def test_a_mounted_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """NAME_FILE names the file that holds NAME, its last line break is not part of it."""
    secret = tmp_path / "keys"
    secret.write_text(f"{KEY}\n")
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("KEYS_FILE", str(secret))
    assert load(Example).keys == (b"k" * 32,)


def test_all_complaints_come_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 78, one line per wrong setting, and never its value."""
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("KEYS", "hunter2")
    monkeypatch.setenv("LIMIT", "many")
    with pytest.raises(SystemExit) as exit_:
        load(Example)
    lines = capsys.readouterr().err
    assert exit_.value.code == 78
    assert "PORT: is not set" in lines
    assert "KEYS: " in lines
    assert "LIMIT: " in lines
    assert "hunter2" not in lines


def test_an_unreadable_file_is_a_complaint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file that is not there is named by its variable."""
    monkeypatch.setenv("KEYS_FILE", str(tmp_path / "absent"))
    with pytest.raises(SystemExit) as exit_:
        load(Example)
    assert exit_.value.code == 78
    assert "KEYS_FILE: cannot be read" in capsys.readouterr().err


def test_what_one_way_of_running_needs_is_asked_for_with_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An optional setting that this process cannot do without stands in the same list."""
    monkeypatch.setenv("KEYS", KEY)
    monkeypatch.delenv("PORT", raising=False)
    with pytest.raises(SystemExit):
        load(Example, needs=("limit",))
    lines = capsys.readouterr().err
    assert "LIMIT: is not set" in lines
    assert "PORT: is not set" in lines


def test_secrets_do_not_print() -> None:
    """A settings object can be logged by accident without harm."""
    settings = Example(port=1, keys=KEY)
    assert "kkkk" not in repr(settings)


def test_an_unreadable_file_is_no_second_complaint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What else is wrong is said with it; that its setting is not set is not."""
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("KEYS_FILE", str(tmp_path / "absent"))
    with pytest.raises(SystemExit):
        load(Example)
    lines = capsys.readouterr().err
    assert "PORT: is not set" in lines
    assert lines.count("KEYS") == 1


def test_upper_and_lower_case_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in files of variables that people write."""
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("port", "8102")
    monkeypatch.setenv("KEYS", KEY)
    assert load(Example).port == 8102
