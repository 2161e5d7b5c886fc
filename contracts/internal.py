"""The bodies of the synchronous internal calls (design §2): these and no others."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

AUTHENTICATE_PATH = "/internal/v1/authenticate"
SUBJECT_PATH = "/internal/v1/subjects/{user_id}"
SUBJECT_CHANGES_PATH = "/internal/v1/subject-changes"
REVOCATIONS_PATH = "/internal/v1/revocations"
JWKS_PATH = "/.well-known/jwks.json"
IP_BLOCKS_PATH = "/internal/v1/ip-blocks"

JWKS_POLL = timedelta(seconds=5)
"""How often a gateway fetches the JWKS; token lets no key sign before."""

SubjectStatus = Literal["active", "unverified", "locked", "disabled", "deleted"]


class InternalBody(BaseModel):
    """Base of internal bodies; readers ignore fields a newer peer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AuthenticateRequest(InternalBody):
    """token → identity: are these credentials good?

    `username` holds a username or an e-mail address; `deadline_seconds` is how long the caller
    waits at most, so that no hash is computed for an answer nobody reads (D4).
    """

    username: str
    password: str
    device_token: str | None = None
    deadline_seconds: float


class AuthenticateResponse(InternalBody):
    """identity → token: who it is, as of `version` (D24)."""

    user_id: UUID
    roles: tuple[str, ...]
    status: SubjectStatus
    version: int
    amr: tuple[str, ...]
    authenticated_at: datetime
    device_token: str | None = None


class Subject(InternalBody):
    """identity → token: the state of one account as of `version`."""

    user_id: UUID
    roles: tuple[str, ...]
    status: SubjectStatus
    version: int


class Revocation(InternalBody):
    """One entry of the deny list (D12)."""

    kind: Literal["jti", "sid", "sub"]
    value: str
    below_version: int | None = None
    revoked_until: datetime


class RevocationPage(InternalBody):
    """token → gateway: entries made since the cursor asked for, and the cursor to ask with next.

    `complete` is False when more entries wait behind `cursor`. `revoked_keys` names every signing
    key that was revoked of late, on each page.
    """

    entries: tuple[Revocation, ...]
    cursor: str
    complete: bool
    revoked_keys: tuple[str, ...] = ()


class IpBlock(InternalBody):
    """One network whose requests are refused until `expires_at` (None: until lifted) (D26)."""

    block_id: UUID
    cidr: str
    expires_at: datetime | None


class IpBlockList(InternalBody):
    """audit → gateway: all blocks as of `revision`; None when that is the one asked with."""

    revision: str
    blocks: tuple[IpBlock, ...] | None
