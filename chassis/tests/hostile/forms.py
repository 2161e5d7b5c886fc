"""Other spellings: of the compact form, of base64url, of JSON (RFC 7515 §7.1, RFC 8725 §3.7)."""

import json

from chassis.tests.hostile.forge import Forge, Named

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def other_forms(forge: Forge) -> Named:
    """Write the same token otherwise than in the compact form, or with other base64."""
    good = forge.token()
    head, body, signature = good.split(".")
    general = {"payload": body, "signatures": [{"protected": head, "signature": signature}]}
    yield "general JSON", json.dumps(general)
    yield "flattened JSON", json.dumps({"protected": head, "payload": body, "signature": signature})
    forms = {
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.x",
        "five parts": f"{good}.x.x",
        "a dot before": f".{good}",
        "a dot after": f"{good}.",
        "dots alone": "..",
        "quoted": f'"{good}"',
        "twice": f"{good},{good}",
        "percent encoded": good.replace(".", "%2E"),
    }
    yield from forms.items()
    for place, part in enumerate((head, body, signature)):
        for junk in ("=", "==", "+", "/", " ", "\n", "\r\n", "\t", "\x00", "\u00e9", "*"):
            changed = [head, body, signature]
            changed[place] = part[:5] + junk + part[5:] if junk[0] != "=" else part + junk
            yield f"{junk!r} in part {place + 1}", ".".join(changed)
    # 64 bytes leave four bits unused in the last character: fifteen twins that decode alike.
    first = _ALPHABET.index(signature[-1])
    for twin in range(1, 16):
        yield f"last character + {twin}", good[:-1] + _ALPHABET[first ^ twin]


def other_json(forge: Forge) -> Named:
    """Write header and claims in another encoding, ambiguously, or not as objects."""
    head, body = json.dumps(forge.header()), json.dumps(forge.payload())
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7"):
        coded = head.encode(encoding) if encoding != "utf-7" else b"+AHs-" + head[1:].encode()
        yield f"header in {encoding}", forge.token(coded)
        coded = body.encode(encoding) if encoding != "utf-7" else b"+AHs-" + body[1:].encode()
        yield f"claims in {encoding}", forge.token(None, coded)
    for name, twice in (
        ("alg twice", head[:-1] + ', "alg": "ES256"}'),
        ("alg twice, escaped", head[:-1] + ', "\\u0061lg": "none"}'),
        ("kid twice", head[:-1] + ', "kid": "x"}'),
    ):
        yield name, forge.token(twice.encode())
    for name, twice in (
        ("sub twice", body[:-1] + f', "sub": {json.dumps(forge.claims["sub"])}}}'),
        ("roles twice", body[:-1] + ', "roles": ["admin"]}'),
        ("exp twice", body[:-1] + ', "exp": 9999999999}'),
        ("a nested key twice", body[:-1] + ', "x": {"a": 1, "a": 2}}'),
    ):
        yield name, forge.token(None, twice.encode())
    more = body.encode() + b"{}"
    for raw in (b"[]", b"null", b"1", b'"x"', b"{", b"{}", b"\xff", b"[" * 999, more):
        yield f"claims {raw[:12]!r}", forge.token(None, raw)
        yield f"header {raw[:12]!r}", forge.token(raw)
    yield "NaN", forge.token(None, body[:-1].encode() + b', "x": NaN}')
    yield "longer than 8 KiB", forge.token(None, forge.payload(x="x" * 8_000))
