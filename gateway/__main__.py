"""Start the gateway: `python -m gateway [serve|check]`."""

from collections.abc import Sequence

from chassis.app import Deployable
from chassis.entrypoint import main
from gateway.settings import GatewaySettings
from gateway.workers.parent import serve


def _build(settings: GatewaySettings) -> Deployable:
    from gateway.app import build  # noqa: PLC0415 - a parent of workers has no use for it

    return build(settings)


def _serve(settings: GatewaySettings) -> None:
    serve(settings, _build)


def _check(arguments: Sequence[str]) -> int:
    from gateway.check.command import check  # noqa: PLC0415 - as above

    return check(arguments)


if __name__ == "__main__":
    main("gateway", GatewaySettings, _build, commands={"check": _check}, serve=_serve)
