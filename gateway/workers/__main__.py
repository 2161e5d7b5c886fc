"""One worker: `python -m gateway.workers`, started by its parent and nobody else."""

import signal
import socket
import sys

from chassis.logs import configure
from chassis.server import run_in_uvloop, serve
from chassis.settings import load
from gateway.app import build
from gateway.settings import GatewaySettings
from gateway.workers.channel import answering
from gateway.workers.worker import Inheritance


async def _work(settings: GatewaySettings, inheritance: Inheritance) -> None:
    deployable = build(settings)
    channel = socket.socket(fileno=inheritance.channel)
    given = {name: socket.socket(fileno=number) for name, number in inheritance.doors.items()}
    async with answering(channel, deployable, on_alone=_end):
        await serve([deployable], given=given)


def _end() -> None:
    """End in good order, as on the parent's own signal: nobody will ever send it."""
    signal.raise_signal(signal.SIGTERM)


def main() -> None:
    """Serve what the parent has bound, until it says stop or is gone."""
    inheritance = Inheritance.read(sys.argv[1])
    settings = load(GatewaySettings)
    configure(level=settings.log_level, style=settings.log_format)
    run_in_uvloop(_work(settings, inheritance))


if __name__ == "__main__":
    main()
