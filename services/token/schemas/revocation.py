"""The bodies of global revocation."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from chassis.http import RequestModel, ResponseModel
from services.token.domain.keys import MAX_REASON
from services.token.service.global_revoking import Revoked


class GlobalRevocationRequest(RequestModel):
    """Why everybody is logged out: it stands in the audit log."""

    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, pattern=r"\S")]


class GlobalRevocationResponse(ResponseModel):
    """Since when no session counts, and the keys nobody may trust any more."""

    revoked_at: datetime
    revoked_keys: list[str]

    @classmethod
    def of(cls, revoked: Revoked) -> Self:
        """Render what was done at once."""
        keys = [key.kid for key in revoked.keys]
        return cls(revoked_at=revoked.revocation.revoked_at, revoked_keys=keys)
