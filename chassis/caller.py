"""On whose behalf a request is served, as the verified assertion says (D13)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.printable import printable

_USER_AGENT_CHARACTERS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The user of a verified access token; `version` is the token's `ver` claim (D24)."""

    user_id: UUID
    session_id: UUID
    roles: frozenset[str]
    version: int
    auth_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls and from where. `principal` is None for anonymous requests.

    `issuer` is the deployable that sent the request, `proven_sid` the session a CSRF token was
    proven for (browser mode). `user_agent` is cut to 512 characters and made printable.
    """

    issuer: str
    principal: Principal | None = None
    client_address: str | None = None
    user_agent: str | None = None
    request_id: str
    traceparent: str | None = None
    proven_sid: UUID | None = None

    def __post_init__(self) -> None:
        if self.user_agent is not None:
            harmless = printable(self.user_agent, length=_USER_AGENT_CHARACTERS)
            object.__setattr__(self, "user_agent", harmless or None)

    @property
    def actor(self) -> str | None:
        """Return the acting user's id, for the event's `actor`."""
        return str(self.principal.user_id) if self.principal else None
