"""Who a request is from."""

from starlette.requests import Request

from chassis.caller import Principal
from chassis.middleware import caller_of
from services.token.errors import LoginRequired


def principal_of(request: Request) -> Principal:
    """Return the user who asks. Raises LoginRequired."""
    principal = caller_of(request).principal
    if principal is None:
        raise LoginRequired
    return principal
