"""Make a virtual environment from a locked group of requirements, showing progress.

Usage: install.py GROUP VENV     (install.py dev .venv)
Does nothing when the environment already holds exactly that lock.
"""

import hashlib
import re
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Every group of the left is contained in the group on the right.
CONTAINED = {"allinone": "dev"}
REPORT_EVERY_SECONDS = 2.0


def main(group: str, folder: str) -> int:
    """Install *group* into the virtual environment *folder*; return the exit code."""
    target = Path(folder)
    stamp = target / "gatehouse-lock"
    installed = stamp.read_text().split() if stamp.exists() else []
    wanted = [_fingerprint(name) for name in (group, CONTAINED.get(group)) if name]
    if any(fingerprint in installed for fingerprint in wanted):
        return 0
    started = time.monotonic()
    if not (target / "bin" / "python").exists():
        print(f"Making the virtual environment {folder} …", flush=True)
        if not _make_environment(target):
            return 1
    stamp.unlink(missing_ok=True)
    lock = ROOT / "requirements" / f"{group}.txt"
    code = _install(target / "bin" / "python", lock)
    if code == 0:
        stamp.write_text(_fingerprint(group))
        print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)
    return code


def _fingerprint(group: str) -> str:
    lock = ROOT / "requirements" / f"{group}.txt"
    return f"{group}:{hashlib.sha256(lock.read_bytes()).hexdigest()}"


def _make_environment(target: Path) -> bool:
    try:
        venv.create(target, with_pip=True)
    except (subprocess.CalledProcessError, ImportError):
        print(
            "This Python cannot make virtual environments with pip "
            "(Debian: apt-get install python3-venv).",
            file=sys.stderr,
        )
        return False
    return True


def _install(python: Path, lock: Path) -> int:
    total = len(re.findall(r"^[a-z0-9]", lock.read_text(), re.MULTILINE))
    command = [
        *(str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"),
        *("--require-hashes", "--no-deps", "--progress-bar", "off", "-r", str(lock)),
    ]
    with subprocess.Popen(  # noqa: S603 - our own interpreter, our own lock
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        tail = _follow(pip, total)
    if pip.returncode != 0:
        print("".join(tail[-20:]), file=sys.stderr)
        print("The installation failed; the lines above are pip's.", file=sys.stderr)
    return pip.returncode


def _follow(pip: "subprocess.Popen[str]", total: int) -> list[str]:
    """Print what pip does every two seconds; return all it said."""
    said: list[str] = []
    count, told = 0, time.monotonic()
    for line in pip.stdout or ():
        said.append(line)
        if line.startswith(("Collecting ", "Ignoring ")):
            count += 1
        installing = line.startswith("Installing collected packages")
        if installing or time.monotonic() - told > REPORT_EVERY_SECONDS:
            told = time.monotonic()
            what = "unpacking" if installing else line.split()[1] if count else "starting"
            print(f"  installing {count}/{total}: {what}", flush=True)
    return said


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
