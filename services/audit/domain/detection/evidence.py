"""What an event says about guessing: only what the rules count, and no name in clear."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.networks import Address, Network, plain_address
from contracts.envelope import CloudEvent
from contracts.identity import DeviceAdded, LoginFailed, LoginSucceeded, PasswordChanged
from contracts.identity import PasswordReset as PasswordWasReset
from contracts.token import RefreshTokenReused
from services.audit.domain.classification import uuid_of
from services.audit.domain.ip_blocks import automatic_network

NO_AGENT = "none"

_NAME_LENGTH = 64
_PROMPT = timedelta(seconds=2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What happened.

    failed: a wrong password; locked: refused unseen, as the account is locked; entered: the right
    password; new_device: the right one from a device not seen with the account; renewed: the owner
    set another password; reused: a spent refresh token came back.
    """

    FAILED = "failed"
    LOCKED = "locked"
    ENTERED = "entered"
    NEW_DEVICE = "new_device"
    RENEWED = "renewed"
    REUSED = "reused"


_KINDS = {
    LoginSucceeded.type: Kind.ENTERED,
    DeviceAdded.type: Kind.NEW_DEVICE,
    PasswordWasReset.type: Kind.RENEWED,
    PasswordChanged.type: Kind.RENEWED,
    RefreshTokenReused.type: Kind.REUSED,
}

# Other reasons are told after a right password: nobody guessed there.
_FAILURES = {"invalid_credentials": Kind.FAILED, "account_locked": Kind.LOCKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One fact the rules count; `id` is 0 until it is stored.

    `occurred_at` is never after `received_at`. `account` is the user's id or the keyed hash of a
    name nobody has; `source` the IPv4 address or IPv6 /64 of `address`; `agent` a short digest.
    """

    id: int = 0
    kind: Kind
    occurred_at: datetime
    received_at: datetime
    account: str
    user_id: UUID | None
    address: Address | None
    source: Network | None
    agent: str

    @property
    def is_late(self) -> bool:
        """Say whether later facts may have been judged before this one came."""
        return self.received_at - self.occurred_at > _PROMPT

    @property
    def is_failure(self) -> bool:
        """Say whether somebody did not get in."""
        return self.kind in (Kind.FAILED, Kind.LOCKED)


def evidence_of(event: CloudEvent, *, received_at: datetime) -> Evidence | None:
    """Return what the rules count of *event*; None when that is nothing.

    A producer's clock may be ahead: nothing has happened after it was received. One that stands
    before 1970 tells no time to count by, and rules reckon back from times.
    """
    kind, account = _kind(event), _account(event)
    if kind is None or account is None or event.time < _EPOCH:
        return None
    address = _address(event.ip)
    return Evidence(
        kind=kind,
        occurred_at=min(event.time.astimezone(UTC), received_at),
        received_at=received_at,
        account=account,
        user_id=uuid_of(event.data.get("user_id")),
        address=address,
        source=None if address is None else automatic_network(address),
        agent=agent_digest(event.useragent),
    )


def agent_digest(agent: str | None) -> str:
    """Return a short name for *agent*: equal ones are equal, and what it says is forgotten."""
    if not agent:
        return NO_AGENT
    return hashlib.sha256(agent.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _kind(event: CloudEvent) -> Kind | None:
    if event.type == LoginFailed.type:
        reason = event.data.get("reason")
        return _FAILURES.get(reason) if isinstance(reason, str) else None
    return _KINDS.get(event.type)


def _account(event: CloudEvent) -> str | None:
    user_id, name = uuid_of(event.data.get("user_id")), event.data.get("name_hash")
    if user_id is not None:
        return str(user_id)
    if isinstance(name, str) and name.isascii() and name.isprintable():
        return f"name:{name[:_NAME_LENGTH]}"
    return None


def _address(text: str | None) -> Address | None:
    try:
        return plain_address(text or "")
    except ValueError:
        return None
