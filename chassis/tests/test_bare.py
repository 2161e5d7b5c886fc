"""A package without its `__init__`, until somebody asks for what is in there."""

import subprocess
import sys
from pathlib import Path

import pytest

from chassis.bare import import_bare

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a package whose `__init__` imports a module that is not always wanted."""
    name = f"bare_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / name
    folder.mkdir()
    folder.joinpath("__init__.py").write_text(
        "from .heavy import weight\nfrom .light import colour\nversion = '1'\n"
    )
    folder.joinpath("heavy.py").write_text("weight = 9\n")
    folder.joinpath("light.py").write_text("colour = 'blue'\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("", ".heavy", ".light"):
        monkeypatch.setitem(sys.modules, f"{name}{module}", None)
        del sys.modules[f"{name}{module}"]
    return name


def test_its_modules_can_be_imported(name: str) -> None:
    """And nothing else is."""
    import_bare(name)
    light = __import__(f"{name}.light", fromlist=["colour"])
    assert light.colour == "blue"
    assert f"{name}.heavy" not in sys.modules


def test_a_name_that_is_known_to_be_in_a_module_comes_from_there(name: str) -> None:
    """Without the `__init__`."""
    import_bare(name, colour=f"{name}.light")
    assert __import__(name, fromlist=["colour"]).colour == "blue"
    assert f"{name}.heavy" not in sys.modules


def test_nothing_serves_with_the_command_line_of_uvicorn() -> None:
    """What it imports is for nobody here."""
    program = (
        "import asyncio, socket, sys\n"
        "from chassis.server import Listener\n"
        "async def main():\n"
        "    listener = Listener(None, socket.create_server(('127.0.0.1', 0)), drain_timeout=1)\n"
        "    await listener.start()\n"
        "    await listener.stop()\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name in ('uvicorn.main', 'click')])\n"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter, a program of the test
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_who_asks_for_another_name_gets_it(name: str) -> None:
    """The `__init__` runs once, in the same package."""
    import_bare(name)
    package = sys.modules[name]
    assert __import__(name, fromlist=["version"]).version == "1"
    assert package.weight == 9
    with pytest.raises(AttributeError):
        _ = package.nothing
    import_bare(name)
    assert sys.modules[name] is package


def test_one_that_is_not_there() -> None:
    """As an import would say it."""
    with pytest.raises(ModuleNotFoundError, match="gatehouse_is_elsewhere"):
        import_bare("gatehouse_is_elsewhere")
