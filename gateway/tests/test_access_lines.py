"""Access lines of gateway processes: one for each request, none lost when they are told to end."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from chassis.testing import eventually
from gateway.tests.processes import processes
from gateway.tests.signing import Subject

_KEYS = ["request_id", "trace_id", "method", "route", "status", "milliseconds"]
_KEYS_OF_ALL = ["event", "level", "logger", "timestamp"]


def _lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_every_answer_has_its_line_when_the_process_has_ended(
    tmp_path: Path, workers: str
) -> None:
    """By SIGTERM, the moment the last of them was read."""
    async with processes(tmp_path, GATEWAY_WORKERS=workers, LOG_LEVEL="info") as running:
        bearer = running.bearer(Subject())
        asked = [running.ask(f"/shop/{n}", headers=bearer if n % 2 else {}) for n in range(40)]
        answers = await asyncio.gather(*asked)
        running.child.send(signal.SIGTERM)
        await eventually(lambda: not running.child.alive, within=30)
        assert running.child.exit_code == 0
        lines = _lines(running.child.output())

    access = {line["request_id"]: line for line in lines if line["event"] == "request.answered"}
    assert len(answers) == 40
    for answer in answers:
        line = access[answer.headers["x-request-id"]]
        assert line["status"] == answer.status
        reason = [] if answer.status == 200 else ["reason"]
        assert list(line) == [*_KEYS, *reason, *_KEYS_OF_ALL]
    assert lines[-1]["event"] == "process.stopped"
