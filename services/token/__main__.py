"""Start token, or migrate its database: `python -m services.token [serve|migrate]`."""

from pathlib import Path

from chassis.entrypoint import main
from services.token.app import build
from services.token.settings import TokenSettings

if __name__ == "__main__":
    main("token", TokenSettings, build, Path(__file__).parent)
