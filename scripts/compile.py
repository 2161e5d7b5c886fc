"""Copy the sources to a folder and compile the gateway's hop there, by mypyc (ADR 30).

Usage: compile.py [FOLDER]     build/compiled when none is named; a minute, nothing if it is current

    python scripts/compile.py && PYTHONPATH=build/compiled PYTHONSAFEPATH=1 python -m gateway

Never in place: a compiled module goes before its source, also when the source has changed since.
Needs a C compiler, Python's headers, and the packages of requirements/compile.txt.
"""

import hashlib
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Distribution

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "compiled"
_STAMP = "compiled.sha256"
_LIBRARY = "gatehouse_hop"
_LEFT = shutil.ignore_patterns(
    ".git", ".venv", ".gatehouse", ".*_cache", ".hypothesis", ".env", "build", "__pycache__", "*.so"
)


def main(arguments: Sequence[str]) -> int:
    """Bring the folder up to date; return the exit code."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__)
        return 0 if set(arguments) <= {"-h", "--help"} else 2
    bring_up_to_date(Path(*arguments).resolve() if arguments else TARGET)
    return 0


def bring_up_to_date(target: Path) -> None:
    """Copy what has changed to *target*; compile when that concerns it."""
    if target == ROOT or target in ROOT.parents:
        raise SystemExit(f"{target} holds the sources: name another folder")
    stamp, current = target / _STAMP, _digest()
    is_current = stamp.exists() and stamp.read_text(encoding="ascii") == current
    if not is_current and target.exists():
        _remove(target)
    shutil.copytree(ROOT, target, ignore=_LEFT, dirs_exist_ok=True)
    if not is_current:
        modules = [str(path.relative_to(ROOT)) for path in sorted(_modules())]
        print(f"compiling {len(modules)} modules, about a minute …", flush=True)
        _compile(target, modules)
        stamp.write_text(current, encoding="ascii")


def _remove(target: Path) -> None:
    """Remove what an earlier run has made, and nothing else."""
    if any(target.iterdir()) and not (target / _STAMP).exists():
        raise SystemExit(f"{target} is not empty, and not of an earlier run: name another folder")
    shutil.rmtree(target)


def _modules() -> Iterator[Path]:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hop = told["tool"]["gatehouse"]["compiled"]
    left = {ROOT / name for name in hop["but"]}
    for pattern in hop["modules"]:
        found = {path for path in ROOT.glob(pattern) if path.name != "__init__.py"}
        if not found:
            raise SystemExit(f"pyproject.toml, tool.gatehouse.compiled: there is no {pattern}")
        yield from found - left


def _digest() -> str:
    """Return a digest of all that the outcome depends on."""
    digest = hashlib.sha256(f"{platform.python_version()} {version('mypy')}".encode())
    sources = [path for part in ("chassis", "gateway", "contracts") for path in _sources(part)]
    for path in (*sources, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _sources(part: str) -> list[Path]:
    tests = {"tests", "testing"}
    return [path for path in sorted((ROOT / part).rglob("*.py")) if not tests & {*path.parts}]


def _compile(target: Path, modules: list[str]) -> None:
    """Put compiled modules beside their copied sources."""
    os.chdir(target)
    extensions = mypycify(modules, opt_level="3", multi_file=True, group_name=_LIBRARY)
    # Not `setup`: it would read all else that pyproject.toml says, too.
    building = Distribution({"name": _LIBRARY, "packages": [], "ext_modules": extensions})
    options = building.get_command_obj("build_ext")
    options.inplace, options.parallel = True, os.cpu_count()
    building.run_command("build_ext")
    shutil.rmtree("build")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
