"""Start the gateway: `python -m gateway [serve|check]`."""

from chassis.entrypoint import main
from gateway.app import build
from gateway.check.command import check
from gateway.settings import GatewaySettings
from gateway.workers.parent import serve

if __name__ == "__main__":
    main("gateway", GatewaySettings, build, commands={"check": check}, serve=serve)
