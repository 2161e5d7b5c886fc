"""Start notify, or migrate its database: `python -m services.notify [serve|migrate]`."""

from pathlib import Path

from chassis.entrypoint import main
from services.notify.app import build
from services.notify.settings import NotifySettings

if __name__ == "__main__":
    main("notify", NotifySettings, build, Path(__file__).parent)
