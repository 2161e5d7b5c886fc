"""SIGHUP: some deployables read something again, none of them dies of it."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.hangup import Hangups
from chassis.testing import eventually
from chassis.testing.deployables import idle_deployable

SERVED = """
import asyncio
from chassis.server import serve
from chassis.testing.deployables import idle_deployable

async def reload():
    print("reloaded", flush=True)

asyncio.run(serve([idle_deployable(reload)], on_started=lambda _: print("started", flush=True)))
"""


class TestHangup:
    """A SIGHUP that somebody sends."""

    async def test_reloads_those_who_have_something_to_reload(self) -> None:
        """Each time; a deployable without is left alone."""
        times = 0

        async def reload() -> None:
            nonlocal times
            times += 1

        stop = asyncio.Event()
        async with Hangups([idle_deployable(), idle_deployable(reload)], stop):
            signal.raise_signal(signal.SIGHUP)
            await eventually(lambda: times == 1)
            signal.raise_signal(signal.SIGHUP)
            await eventually(lambda: times == 2)
        assert not stop.is_set()

    async def test_survives_a_reload_that_crashes(self) -> None:
        """What is served goes on, and so do later reloads."""
        times = 0

        async def reload() -> None:
            nonlocal times
            times += 1
            raise ValueError

        async with Hangups([idle_deployable(reload)], asyncio.Event()):
            signal.raise_signal(signal.SIGHUP)
            await eventually(lambda: times == 1)
            signal.raise_signal(signal.SIGHUP)
            await eventually(lambda: times == 2)


@pytest.mark.slow
class TestTerminal:
    """A process that was started in a terminal."""

    @pytest.mark.parametrize(("ignored", "ends"), [(False, True), (True, False)])
    def test_ends_with_it_unless_under_nohup(
        self, tmp_path: Path, *, ignored: bool, ends: bool
    ) -> None:
        """A closed window must not leave a platform behind; exit code 0 as for SIGTERM."""
        ours, theirs = pty.openpty()
        # The leader of a new session gets the first terminal it opens.
        start = f"import os; os.close(os.open({os.ttyname(theirs)!r}, os.O_RDWR))\n"
        if ignored:
            start += "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        with (tmp_path / "out").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own code
                [sys.executable, "-c", start + SERVED],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            _wait_for(tmp_path / "out", "started")
            process.send_signal(signal.SIGHUP)
            _wait_for(tmp_path / "out", "reloaded")
            os.close(theirs)
            os.close(ours)
            if not ends:
                _wait_for(tmp_path / "out", "reloaded", times=2)
                process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


def _wait_for(log: Path, text: str, *, times: int = 1) -> None:
    asyncio.run(eventually(lambda: log.read_text().count(text) >= times, within=20))
