"""The programs that are compared: found, or installed where that is possible."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import redis

from chassis.testing.servers.sources import apt_install, can_apt_install
from tests.platforms.process import ROOT

NODE_FOLDER = Path(__file__).parent / "node"

_PACKAGES = {"haproxy": "haproxy", "nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux"}
_NPM_SECONDS = 300
_ELSEWHERE = {"node": "Node.js 20 or newer", "npm": "npm"}
_VERSION = {"haproxy": "-v", "nginx": "-v", "wrk": "-v", "node": "--version"}


def find(programs: Iterable[str]) -> None:
    """See that all *programs* are on PATH: as root on Debian install them, or name what to do."""
    missing = [name for name in programs if shutil.which(name) is None]
    if can_apt_install():
        for name in missing:
            if name in _PACKAGES:
                apt_install(_PACKAGES[name], say=print)
        missing = [name for name in missing if shutil.which(name) is None]
    if missing:
        wanted = ", ".join(_PACKAGES.get(name) or _ELSEWHERE[name] for name in missing)
        raise SystemExit(f"install first: {wanted} (or leave systems out by --only)")


def compiled() -> Path:
    """Return a tree of this one's sources with the hop compiled, as it is in the image."""
    subprocess.run([sys.executable, ROOT / "scripts" / "compile.py"], check=True)  # noqa: S603 - ours
    return ROOT / "build" / "compiled"


def node_modules() -> Path:
    """Return a folder with server.js and exactly what its lock names; made once per lock."""
    lock = (NODE_FOLDER / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "gatehouse" / "bench-gateway" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "server.js"):
        shutil.copyfile(NODE_FOLDER / name, folder / name)
    if not (folder / "installed").exists():
        print("installing the Node peer (once) …", flush=True)
        _npm_ci(folder)
        (folder / "installed").touch()
    return folder


def versions(programs: Iterable[str], redis_url: str | None) -> list[str]:
    """Return what is compared with what, in its own words."""
    said = [_version(name) for name in programs if name in _VERSION]
    if redis_url:
        with redis.Redis.from_url(redis_url) as client:
            said.append(f"Redis {client.info('server')['redis_version']}")
    return [f"CPython {platform.python_version()}", *said]


def _version(name: str) -> str:
    ran = subprocess.run(  # noqa: S603 - one of ours
        [name, _VERSION[name]], capture_output=True, text=True, timeout=10, check=False
    )
    line = (ran.stdout or ran.stderr).strip().splitlines()[0]
    if name == "node":
        return f"Node {line}, {', '.join(_peer_packages())}"
    return line.partition(" - ")[0].partition(" [")[0].strip()


def _peer_packages() -> Sequence[str]:
    package = json.loads((NODE_FOLDER / "package.json").read_text(encoding="utf-8"))
    return [f"{name} {version}" for name, version in package["dependencies"].items()]


def _npm_ci(folder: Path) -> None:
    ran = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],  # noqa: S607 - found on PATH beforehand
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_NPM_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        raise SystemExit(f"npm ci failed: {ran.stderr.strip()[-1000:]}")
