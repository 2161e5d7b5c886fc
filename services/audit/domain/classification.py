"""Which part of an event is personal, whom it is about, and how what it tells came out.

The choice (D17): everything that singles a person out is personal, and user and session ids are
no exception. They are random, but a product keyed its own records by `sub`, so erasing identity's
row does not make them meaningless. Personal data stands in the side table only and enters the
leaf as a commitment; what nobody has classified is personal. Plain is what says how the platform
behaved: roles, causes, reasons, counts, keys of machines.

Each person has a share of their own: what is about the subject goes with the subject, who did it
and from where goes with the actor. So an administrator's name stays on the deletion of somebody
else's account. Without an actor the origin belongs to the subject's share.
"""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from contracts.envelope import CloudEvent

Outcome = Literal["success", "failure", "denied"]
Party = Literal["subject", "actor"]

LOG_READ = "audit.log.read.v1"
"""The one type that never travels: somebody read the log."""

USER_DELETED = "identity.user.deleted.v1"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one type of event is kept; both tuples name fields of its data.

    success: what the type names came about; failure: an attempt that did not reach its aim;
    denied: the platform refused by rule.
    """

    plain: tuple[str, ...] = ()
    personal: tuple[str, ...] = ("user_id",)
    outcome: Outcome = "success"


_SESSION = ("user_id", "session_id")

RULES: dict[str, Rule] = {
    "identity.user.registered.v1": Rule(("roles", "is_verified"), ("user_id", "email", "username")),
    "identity.user.email_verified.v1": Rule((), ("user_id", "email")),
    "identity.user.email_changed.v1": Rule(("cause",), ("user_id", "email", "previous_email")),
    "identity.user.updated.v1": Rule(("fields",)),
    USER_DELETED: Rule(),
    "identity.user.roles_changed.v1": Rule(("roles", "previous_roles")),
    "identity.user.locked.v1": Rule(("cause", "locked_until")),
    "identity.user.unlocked.v1": Rule(("cause",)),
    "identity.user.disabled.v1": Rule(),
    "identity.user.enabled.v1": Rule(),
    "identity.login.succeeded.v1": Rule(("amr",)),
    "identity.login.failed.v1": Rule(("reason",), ("user_id", "name_hash"), "failure"),
    "identity.device.added.v1": Rule(),
    "identity.password.changed.v1": Rule((), _SESSION),
    "identity.password.reset_requested.v1": Rule(),
    "identity.password.reset.v1": Rule(),
    "identity.password.reset_forced.v1": Rule(),
    "identity.verification.requested.v1": Rule(),
    "token.session.started.v1": Rule(("amr",), _SESSION),
    "token.session.ended.v1": Rule(("reason", "revoked_until"), _SESSION),
    "token.token.refreshed.v1": Rule((), _SESSION),
    "token.refresh.failed.v1": Rule((), _SESSION, "failure"),
    "token.refresh_token.reused.v1": Rule((), _SESSION, "denied"),
    "token.sessions.revoked.v1": Rule(("epoch", "revoked_at"), ("reason",)),
    "token.token.revoked.v1": Rule(("kind", "below_version", "revoked_until"), ("value",)),
    "token.client.authentication_failed.v1": Rule(("client_id", "reason"), (), "failure"),
    "token.signing_key.rotated.v1": Rule(("kid", "previous_kid"), ()),
    "token.signing_key.rotation_requested.v1": Rule(("kid", "successor_kid", "signs_at"), ()),
    "token.signing_key.revoked.v1": Rule(("kid", "successor_kid"), ("reason",)),
    "notify.message.sent.v1": Rule(("message_id", "template")),
    "notify.message.failed.v1": Rule(("message_id", "template", "reason"), ("user_id",), "failure"),
    "notify.message.suppressed.v1": Rule(
        ("message_id", "template", "reason"), ("user_id",), "denied"
    ),
    "audit.suspicious_activity.detected.v1": Rule(
        ("alert_id", "rule", "severity", "attempts", "accounts", "addresses"),
        ("user_id", "address"),
    ),
    "audit.alert.acknowledged.v1": Rule(("alert_id",), ()),
    "audit.alert.closed.v1": Rule(("alert_id",), ()),
    "audit.ip.blocked.v1": Rule(("block_id", "cause", "expires_at"), ("cidr", "reason")),
    "audit.ip.unblocked.v1": Rule(("block_id",), ("cidr",)),
    "audit.checkpoint.signed.v1": Rule(("tree_size", "root_hash"), ()),
    "audit.archive.completed.v1": Rule(("partition", "rows"), ()),
    LOG_READ: Rule(("view", "filters", "type", "outcome", "from", "to", "entry", "rows"), ("ip",)),
    "gateway.request.denied.v1": Rule(("reason", "route", "count", "window_seconds"), (), "denied"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The personal data of one party to an event; `person_id` is whose deletion erases it."""

    party: Party
    person_id: UUID | None
    personal: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """An event taken apart; `subject` is None unless it names something that is no person."""

    outcome: Outcome
    subject: str | None
    data: dict[str, Any]
    shares: tuple[Share, ...]


def classify(event: CloudEvent) -> Classified:
    """Take *event* apart into what the leaf may say and what each person can have erased."""
    rule = RULES.get(event.type) or Rule(outcome=_outcome_by_name(event.type))
    plain = {name: value for name, value in event.data.items() if name in rule.plain}
    subject = event.subject if event.subject in _names(plain) else None
    personal = {name: value for name, value in event.data.items() if name not in rule.plain}
    about = {
        "subject": None if subject else event.subject,
        "data": personal,
        "extensions": event.extensions,
    }
    origin = {"actor": event.actor, "ip": event.ip, "useragent": event.useragent}
    return Classified(
        outcome=rule.outcome,
        subject=subject,
        data=plain,
        shares=_shares(_present(about), _present(origin), _person(event, subject)),
    )


def deleted_person(event: CloudEvent) -> UUID | None:
    """Return whom *event* tells to erase, if anybody."""
    return uuid_of(event.data.get("user_id")) if event.type == USER_DELETED else None


def uuid_of(value: object) -> UUID | None:
    """Return *value* as a UUID, or None when it is not the text of one."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _shares(
    about: dict[str, Any], origin: dict[str, Any], person: UUID | None
) -> tuple[Share, ...]:
    actor = uuid_of(origin.get("actor"))
    if "actor" not in origin or (actor is not None and actor == person):
        shares = [Share(party="subject", person_id=person, personal=about | origin)]
    else:
        shares = [
            Share(party="subject", person_id=person, personal=about),
            Share(party="actor", person_id=actor, personal=origin),
        ]
    return tuple(share for share in shares if share.personal)


def _person(event: CloudEvent, plain_subject: str | None) -> UUID | None:
    """Return the user an event is about; a denied `sub` (D12) is one too."""
    data = event.data
    named = data.get("value") if data.get("kind") == "sub" else data.get("user_id")
    return uuid_of(named) or (None if plain_subject else uuid_of(event.subject))


def _names(plain: dict[str, Any]) -> set[str]:
    return {str(value) for value in plain.values() if isinstance(value, str | int)}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, {})}


def _outcome_by_name(type_: str) -> Outcome:
    """Guess the outcome of a type this version does not know by its verb."""
    words = type_.split(".")
    if "failed" in words:
        return "failure"
    return "denied" if "denied" in words else "success"
