"""Who is asking."""

from starlette.requests import Request

from chassis.caller import Principal
from chassis.errors import Unauthenticated
from chassis.middleware import caller_of


def principal_of(request: Request) -> Principal:
    """Return the logged-in user. Raises Unauthenticated for an anonymous request."""
    principal = caller_of(request).principal
    if principal is None:
        raise Unauthenticated
    return principal
