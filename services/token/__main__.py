"""Start token: `python -m services.token [serve|migrate|clients|keys]`."""

from pathlib import Path

from chassis.entrypoint import main
from services.token.app import build
from services.token.command.clients import clients
from services.token.command.keys import keys
from services.token.settings import TokenSettings

if __name__ == "__main__":
    main(
        "services.token",
        TokenSettings,
        build,
        Path(__file__).parent,
        commands={"clients": clients, "keys": keys},
    )
