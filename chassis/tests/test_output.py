"""Standard output: lines in their order, none lost however the process ends, none mixed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chassis.output import Output

ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = """
import asyncio, os, signal, sys, threading
from chassis import logs
from chassis.access_line import AccessLines, Answered
from chassis.server import run_in_uvloop
logs.configure(level="info", style="json")
lines, log = AccessLines(), logs.get_logger("x")

def say(name):
    lines.write(Answered(name, "t", "GET", "/", 200, 0.1, None), "info")

def fail():
    say("b")
    raise ZeroDivisionError

async def main():
    loop = asyncio.get_running_loop()
    BODY

run_in_uvloop(main())
say("at the end")
"""


def run(body: str) -> tuple[list[dict[str, Any]], int]:
    """Run the program with *body*; return the lines it wrote to a pipe, and its exit code."""
    done = subprocess.run(  # noqa: S603 - this interpreter, a program of the test
        [sys.executable, "-c", _PROGRAM.replace("BODY", body)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def names(lines: list[dict[str, Any]]) -> list[str]:
    """Return which lines they are."""
    return [line.get("request_id") or line["logger"] for line in lines]


class TestNoLineIsLost:
    """By a process that ends by itself, or is told to."""

    @pytest.mark.parametrize(
        ("body", "expected", "code"),
        [
            ("say('a')", ["a", "at the end"], 0),
            ("say('a'); fail()", ["a", "b"], 1),
            ("say('a'); raise SystemExit(3)", ["a"], 3),
            ("say('a'); signal.raise_signal(signal.SIGINT); await asyncio.Event().wait()",
             ["a"], -2),
            ("say('a'); await asyncio.sleep(0); os._exit(4)", ["a"], 4),
            ("say('a'); log.critical('x'); os._exit(4)", ["a", "x"], 4),
            ("say('a'); loop.call_soon(fail); await asyncio.sleep(0)",
             ["a", "b", "asyncio", "at the end"], 0),
            ("t = threading.Thread(target=fail); say('a'); t.start(); t.join()",
             ["a", "b", "at the end"], 0),
        ],
        ids=["end", "exception", "sys.exit", "SIGINT", "os._exit", "said at once",
             "exception in a callback", "exception in a thread"],
    )  # fmt: skip
    def test_and_their_order_stays(self, body: str, expected: list[str], code: int) -> None:
        """Whatever was said before stands before."""
        lines, exited = run(body)
        assert (names(lines), exited) == (expected, code)

    def test_on_sigterm(self) -> None:
        """The handler is a callback of the loop, as the servers have it."""
        body = (
            "stop = asyncio.Event(); loop.add_signal_handler(signal.SIGTERM, stop.set); "
            "say('a'); os.kill(os.getpid(), signal.SIGTERM); say('b'); await stop.wait()"
        )
        lines, exited = run(body)
        assert (names(lines), exited) == (["a", "b", "at the end"], 0)


class TestATurnOfTheLoop:
    """What is said in it is written in one piece, in order."""

    async def test_many_lines_are_one_piece(self) -> None:
        """It is there when the turn is over."""
        written: list[str] = []
        output = Output(written.append)
        for number in range(3):
            output.write_soon(f"{number}\n")
        assert not written
        await asyncio.sleep(0)
        assert written == ["0\n1\n2\n"]
        output.write_soon("3\n")
        await asyncio.sleep(0)
        assert written[1:] == ["3\n"]

    async def test_a_line_that_is_written_at_once_comes_after_those_that_wait(self) -> None:
        """And takes them along."""
        written: list[str] = []
        output = Output(written.append)
        output.write_soon("0\n")
        output.write("1\n")
        output.write_soon("2\n")
        await asyncio.sleep(0)
        assert written == ["0\n", "1\n", "2\n"]

    async def test_no_piece_is_larger_than_a_pipe_takes_at_once(self) -> None:
        """The lines of several workers on one pipe would mix."""
        written: list[str] = []
        output = Output(written.append)
        lines = [f"{number:0999}\n" for number in range(10)]
        for line in (*lines, "x" * 5000 + "\n", "y\n"):
            output.write_soon(line)
        await asyncio.sleep(0)
        assert [len(piece) for piece in written] == [4000, 4000, 2000, 5001, 2]
        assert "".join(written[:3]) == "".join(lines)

    def test_a_loop_that_ended_before_is_not_waited_for(self) -> None:
        """Another one may come, or none."""
        written: list[str] = []
        output = Output(written.append)

        async def say(line: str) -> None:
            output.write_soon(line)

        runner = asyncio.Runner()
        runner.run(say("0\n"))
        runner.close()
        asyncio.run(say("1\n"))
        output.write_soon("2\n")
        assert "".join(written) == "0\n1\n2\n"
