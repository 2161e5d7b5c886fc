"""Lines of documentation, pasted into a real shell as a newcomer would."""

import json
import subprocess
from typing import Any

_TELL_STATUS = "curl -s -w '\\nSTATUS %{http_code}\\n' -X POST"


def paste(lines: str) -> tuple[int, dict[str, Any]]:
    """Run *lines* in a shell; return the status of its POST and the answer."""
    done = subprocess.run(  # noqa: S603 - the documentation's own lines
        ["bash", "-eu", "-o", "pipefail", "-c", lines.replace("curl -X POST", _TELL_STATUS)],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\nSTATUS ")
    return int(status), json.loads(body or "{}")
