"""Headers that say more than `alg`, `kid` and `typ`, or say it wrongly (RFC 8725 §3.10, §3.11)."""

import json
import zlib
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from chassis.tests.hostile.forge import Forge, Named, encode, part_of, raw_signature

_FOREIGN = ec.generate_private_key(ec.SECP256R1())


def hostile_kids(forge: Forge) -> Named:
    """Let `kid` be a path, a statement, a URL, too long, no text, or of nobody."""
    kids: Sequence[Any] = (
        *("../../dev/null", "/etc/passwd", "' OR 1=1--", "\x00", "$(id)", ""),
        *(f"{forge.kid}\n", f"{forge.kid}\0", f"{forge.kid} ", f"{forge.kid}.", f"/{forge.kid}"),
        *("k" * 65, "k" * 5_000, f"{forge.listener}/kid"),
        *([forge.kid], {"kid": forge.kid}, 1, True, None, ...),
    )
    for kid in kids:
        yield f"kid {str(kid)[:24]!r}", forge.token(forge.header(kid=kid))
    yield "kid of nobody", forge.token(forge.header(kid="nobody"))


def keys_of_its_own(forge: Forge) -> Named:
    """Bring a key along, or say where one lies (RFC 7515 §4.1.2 to §4.1.8)."""

    def foreign(data: bytes) -> bytes:
        return raw_signature(_FOREIGN, data)

    own = json.loads(ECAlgorithm.to_jwk(forge.private.public_key()))
    brought = json.loads(ECAlgorithm.to_jwk(_FOREIGN.public_key()))
    headers = {
        "jwk": brought,
        "jku": f"{forge.listener}/jwks.json",
        "x5u": f"{forge.listener}/certificate",
        "x5c": ["MIIB"],
        "x5t": "AAAA",
        "x5t#S256": "AAAA",
    }
    for name, value in headers.items():
        yield f"{name}, signed by its key", forge.token(forge.header(**{name: value}), sign=foreign)
        yield f"{name}, signed by ours", forge.token(forge.header(**{name: value}))
    yield "our own jwk", forge.token(forge.header(jwk=own))
    yield "jku without a kid", forge.token(forge.header(kid=..., jku=headers["jku"]), sign=foreign)


def extensions(forge: Forge) -> Named:
    """Ask for extensions, also for ones that would change nothing (RFC 7515 §4.1.11)."""
    for name, value in (
        *(("crit", []), ("crit", ["exp"]), ("crit", ["b64"]), ("crit", "exp"), ("crit", None)),
        *(("b64", False), ("b64", True), ("zip", "DEF"), ("cty", "JWT"), ("enc", "A256GCM")),
        *(("exp", 1), ("ES256", 1), ("url", "/"), ("nonce", "n"), ("", "")),
    ):
        yield f"{name} {value!r}", forge.token(forge.header(**{name: value}))
    deflated = zlib.compress(json.dumps(forge.payload()).encode(), wbits=-15)
    yield "zip, deflated", forge.token(forge.header(zip="DEF"), deflated)
    head = part_of(forge.header(b64=False, crit=["b64"]))
    body = encode(json.dumps(forge.payload()).encode())
    yield "b64, unencoded", f"{head}.{body}.{encode(forge.sign(f'{head}.{body}'.encode()))}"


def other_kinds(forge: Forge) -> Named:
    """Present another kind of JWT (RFC 9068 §4)."""
    for typ in (
        *("JWT", "jwt", "AT+JWT", "at+JWT", "application/at+jwt", "at+jwt ", "at+jwt\0", "", None),
        *(..., 1, ["at+jwt"], "rt+jwt", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt"),
        *("token-introspection+jwt", "oauth-authz-req+jwt", "JOSE"),
    ):
        yield f"typ {typ!r}", forge.token(forge.header(typ=typ))
    identity = forge.payload(jti=..., sid=..., nonce="n", at_hash="h")
    yield "an ID token", forge.token(forge.header(typ="JWT"), identity)
