"""Start identity, or migrate its database: `python -m services.identity [serve|migrate]`."""

from pathlib import Path

from chassis.entrypoint import main
from services.identity.app import build
from services.identity.settings import IdentitySettings

if __name__ == "__main__":
    main("identity", IdentitySettings, build, Path(__file__).parent)
