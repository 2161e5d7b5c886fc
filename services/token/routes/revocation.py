"""Global revocation over HTTP, for administrators."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import read_json, respond
from chassis.middleware import caller_of
from services.token.routes.callers import principal_of
from services.token.schemas.revocation import GlobalRevocationRequest, GlobalRevocationResponse
from services.token.service.global_revoking import GlobalRevoking


def revocation_routes(revoking: GlobalRevoking) -> list[Route]:
    """Return the route that logs everybody out."""

    async def revoke_all(request: Request) -> Response:
        principal = principal_of(request)
        asked = await read_json(request, GlobalRevocationRequest)
        revoked = await revoking.revoke_all(asked.reason, principal, caller=caller_of(request))
        return respond(GlobalRevocationResponse.of(revoked))

    return [Route("/api/v1/admin/revoke-all", revoke_all, methods=["POST"])]
