"""Claims that are wrong: of others, for others, of another kind, at another time."""

from collections.abc import Sequence
from typing import Any

from chassis.tests.hostile.forge import Forge, Named


def strangers(forge: Forge) -> Named:
    """Claims of another issuer, audience or subject, or of the wrong type."""
    iss, aud, sub = (str(forge.claims[name]) for name in ("iss", "aud", "sub"))
    alike = iss.replace("t", "\u0442")  # the Cyrillic letter
    wrong: dict[str, Sequence[Any]] = {
        "iss": (..., None, "", [iss], f"{iss}/", iss.upper(), alike, f" {iss}", f"{iss}\0", {}),
        "aud": (..., None, "", [], [aud, "x"], aud.upper(), f"{aud}/", f"{aud} ", {aud: 1}, 1),
        "sub": (..., None, "", [sub], sub.upper(), f"{{{sub}}}", f"urn:uuid:{sub}", "ada", 1, "0"),
        "sid": (..., None, "", sub.upper(), "../x", 1),
        "jti": (..., None, "", "a b", "j" * 65, 1, ["j"]),
        "ver": (..., None, "1", True, -1, 1.0, 1e400),
        "roles": ("admin", ["admin", 1], {"admin": True}, None),
        "scope": (["a"], 1, None),
        "amr": ("pwd", [1]),
    }
    for name, values in wrong.items():
        for value in values:
            yield f"{name} {str(value)[:40]!r}", forge.token(None, forge.payload(**{name: value}))


def bound_elsewhere(forge: Forge) -> Named:
    """Bind the token to a key whose proof nobody asks for here (RFC 9449 §6, RFC 8705 §3)."""
    for name, value in (("jkt", "A" * 43), ("x5t#S256", "A" * 43), ("jwk", {}), ("kid", "k")):
        yield f"cnf {name}", forge.token(None, forge.payload(cnf={name: value}))
    yield "cnf null", forge.token(None, forge.payload(cnf=None))


def meant_for_others(forge: Forge) -> Named:
    """Name another audience (RFC 9700 §2.3)."""
    for audience in ("notify", "identity", ["notify"], [forge.claims["aud"], "notify"], "*"):
        yield f"aud {audience}", forge.token(None, forge.payload(aud=audience))


def clients(forge: Forge) -> Named:
    """Let a client look like a user (RFC 9700 §4.15)."""
    for client in ("shop", "client:shop", "service-account-shop", f"client:{forge.claims['sub']}"):
        claims = forge.payload(sub=client, client_id=client)
        yield f"sub {client[:24]}", forge.token(None, claims)
    yield "client_id without sub", forge.token(None, forge.payload(sub=..., client_id="shop"))


def times(forge: Forge) -> Named:
    """Leave times out, write them wrongly, or put them into the future."""
    now = forge.claims["iat"]
    for name in ("exp", "iat", "auth_time"):
        for value in (..., None, str(now), now + 0.5, True, -1, 10**15, 1e400, [now]):
            yield f"{name} {value!r}", forge.token(None, forge.payload(**{name: value}))
    for name in ("iat", "auth_time", "nbf"):
        yield f"{name} in an hour", forge.token(None, forge.payload(**{name: now + 3600}))
    yield "exp before iat", forge.token(None, forge.payload(exp=now - 1))
