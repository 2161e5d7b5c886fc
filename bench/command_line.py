"""What the benches are told on the command line."""

import argparse
from pathlib import Path

from tests.platforms.process import ROOT


def parser(
    bench: str, description: str | None, *, in_rounds: bool = True
) -> argparse.ArgumentParser:
    """Return a parser for a bench that compares two working trees on wish."""
    made = argparse.ArgumentParser(
        prog=f"python -m {bench}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if in_rounds:
        made.add_argument("--rounds", type=int, default=5)
        made.add_argument("--seconds", type=float, default=6.0, help="of load in a round")
    made.add_argument("--against", type=Path, help="another working tree to compare with")
    return made


def trees(arguments: argparse.Namespace) -> list[Path]:
    """Return this working tree, and the other one if there is any."""
    return [ROOT, *([arguments.against] if arguments.against else [])]
