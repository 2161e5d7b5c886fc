"""The HTTP doors of identity, as a table."""

from starlette.routing import Route

from services.identity.routes import accounts, administration, imports, internal, passwords, profile
from services.identity.service.use_cases import UseCases


def routes(service: UseCases) -> list[Route]:
    """Return every route of the service."""
    return [
        *accounts.routes(service),
        *profile.routes(service),
        *passwords.routes(service),
        *imports.routes(service),
        *administration.routes(service),
        *internal.routes(service),
    ]
