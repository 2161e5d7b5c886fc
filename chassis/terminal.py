"""What commands for operators have in common: how they are described, and how they speak."""

import argparse
import sys


def command_parser(prog: str, description: str | None, examples: str) -> argparse.ArgumentParser:
    """Return a parser whose help shows *description* and *examples* as they are written."""
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def say(text: str) -> None:
    """Write a line of the answer, which alone goes to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> int:
    """Write a line to standard error; return the exit code of what could not be done, 1."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    return 1
