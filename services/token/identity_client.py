"""Identity, as token asks it: are these credentials good, and what may this user do."""

from http import HTTPStatus
from uuid import UUID

from pydantic import ValidationError

from chassis.caller import Caller
from chassis.internal import DependencyUnavailable, InternalClient, RemoteProblem
from chassis.logs import get_logger
from contracts.internal import (
    AUTHENTICATE_PATH,
    SUBJECT_PATH,
    AuthenticateRequest,
    AuthenticateResponse,
)
from contracts.internal import Subject as SubjectBody
from services.token.domain.subjects import Snapshot
from services.token.errors import refusal

log = get_logger(__name__)

_SUBJECT_SECONDS = 1.0
# Refusals of token itself, not of the credentials: the sender of these can do nothing about them.
_PLUMBING_CODES = frozenset(
    {
        "assertion_required",
        "assertion_invalid",
        "forbidden",
        "not_found",
        "method_not_allowed",
        "unsupported_media_type",
        "unknown",
    }
)


class IdentityClient:
    """Makes the two calls of token → identity (design §2).

    *timeout* bounds `authenticate` in seconds; *deadline* is after how many identity need not
    start to hash any more.
    """

    def __init__(self, client: InternalClient, *, timeout: float, deadline: float) -> None:
        self._client = client
        self._timeout = timeout
        self._deadline = deadline

    async def authenticate(
        self, username: str, password: str, device_token: str | None, *, caller: Caller
    ) -> AuthenticateResponse:
        """Return who it is; called once, never again for the same login (D4).

        Raises identity's own refusal, DependencyUnavailable.
        """
        question = AuthenticateRequest(
            username=username,
            password=password,
            device_token=device_token,
            deadline_seconds=self._deadline,
        )
        try:
            document = await self._client.call(
                "POST",
                AUTHENTICATE_PATH,
                body=question.model_dump(mode="json"),
                caller=caller,
                timeout=self._timeout,
            )
            return AuthenticateResponse.model_validate(document)
        except RemoteProblem as problem:
            if problem.code in _PLUMBING_CODES:
                log.warning("identity.refused_us", status=problem.status, code=problem.code)
                raise DependencyUnavailable(retry_after=1) from None
            raise refusal(problem.status, problem.document, problem.retry_after) from None
        except ValidationError:
            log.warning("identity.answer_unreadable", path=AUTHENTICATE_PATH)
            raise DependencyUnavailable(retry_after=1) from None

    async def find_subject(self, user_id: UUID, *, caller: Caller) -> Snapshot | None:
        """Return what the user is now, or None when identity does not know it any more.

        Raises DependencyUnavailable.
        """
        target = SUBJECT_PATH.format(user_id=user_id)
        try:
            document = await self._client.call(
                "GET", target, caller=caller, timeout=_SUBJECT_SECONDS
            )
            body = SubjectBody.model_validate(document)
        except RemoteProblem as problem:
            if problem.status == HTTPStatus.NOT_FOUND:
                return None
            raise DependencyUnavailable(retry_after=1) from None
        except ValidationError:
            raise DependencyUnavailable(retry_after=1) from None
        return snapshot_of(body)


def snapshot_of(answer: SubjectBody | AuthenticateResponse) -> Snapshot:
    """Return identity's answer as a value of the domain."""
    return Snapshot(
        user_id=answer.user_id,
        roles=frozenset(answer.roles),
        status=answer.status,
        version=answer.version,
    )
