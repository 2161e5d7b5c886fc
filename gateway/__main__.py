"""Start the gateway: `python -m gateway`."""

from chassis.logs import configure
from chassis.server import run
from chassis.settings import load
from gateway.app import build
from gateway.settings import GatewaySettings

if __name__ == "__main__":
    settings = load(GatewaySettings)
    configure(level=settings.log_level, style=settings.log_format)
    run(lambda: build(settings))
