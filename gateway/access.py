"""Whether somebody may call a route (RFC 6750 §3.1)."""

from chassis.jwt import AccessToken
from gateway.errors import RoleMissing, ScopeMissing, TokenRequired
from gateway.routing.table import Route


def check_access(route: Route, token: AccessToken | None) -> None:
    """Let the holder of *token* (None: nobody) call a *route* that is for users.

    Of the roles and scopes that a route names, one is enough. Raises TokenRequired, RoleMissing,
    ScopeMissing.
    """
    if token is None:
        raise TokenRequired
    if not route.roles and not route.scopes:
        return
    if route.roles & token.roles:
        return
    if not route.scopes:
        raise RoleMissing(token.user_id)
    if route.scopes.isdisjoint(token.scope.split(" ")):
        raise ScopeMissing(token.user_id, route.scopes)
