"""Wrong algorithms, wrong keys, no signature (RFC 8725 §3.1, §3.2)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from chassis.tests.hostile.forge import HALF, ORDER, Forge, Named, Sign, raw_signature

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "HS256": hashes.SHA256(),
    "HS384": hashes.SHA384(),
    "HS512": hashes.SHA512(),
}
_FOREIGN_EC = ec.generate_private_key(ec.SECP256R1())
_FOREIGN_ED = ed25519.Ed25519PrivateKey.generate()
_FOREIGN_RSA = rsa.generate_private_key(65537, 2048)


def confused_algorithms(forge: Forge) -> Named:
    """Take the public key for a secret, or for one of another algorithm."""
    public = forge.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = json.loads(ECAlgorithm.to_jwk(public))
    secrets = {
        "PEM": pem,
        "PEM without its last line break": pem.strip(),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "point": public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        "JWK": json.dumps(jwk).encode(),
        "compact JWK": json.dumps(jwk, separators=(",", ":")).encode(),
        "compact JWK and a line break": json.dumps(jwk, separators=(",", ":")).encode() + b"\n",
    }
    for name, secret in secrets.items():
        for alg, digest in _HASHES.items():
            signed = forge.token(forge.header(alg=alg), None, _keyed(secret, digest))
            yield f"{alg} keyed with the public {name}", signed
    for alg in ("RS256", "PS256", "ES384", "ES512", "ES256K", "EdDSA", "HS256", "es256", "ES256 "):
        yield f"the ES256 key as {alg!r}", forge.token(forge.header(alg=alg))


def false_signatures(forge: Forge) -> Named:
    """Send what a careless verifier takes for an ES256 signature."""

    def halves(data: bytes) -> tuple[bytes, bytes]:
        signature = forge.sign(data)
        return signature[:HALF], signature[HALF:]

    signatures: dict[str, Sign] = {
        "r = s = 0": lambda _: bytes(64),
        "r = 0": lambda data: bytes(HALF) + halves(data)[1],
        "s = 0": lambda data: halves(data)[0] + bytes(HALF),
        "r = n": lambda data: ORDER.to_bytes(HALF, "big") + halves(data)[1],
        "r = s = 1": lambda _: (bytes(HALF - 1) + b"\x01") * 2,
        "s and r": lambda data: b"".join(reversed(halves(data))),
        "DER": lambda data: forge.private.sign(data, ec.ECDSA(hashes.SHA256())),
        "one byte short": lambda data: forge.sign(data)[:-1],
        "one byte long": lambda data: forge.sign(data) + b"\x00",
        "SHA-384": lambda data: raw_signature(forge.private, data, hashes.SHA384()),
        "the header alone": lambda data: forge.sign(data.partition(b".")[0]),
    }
    for name, sign in signatures.items():
        yield f"signature of {name}", forge.token(sign=sign)


def unsigned(forge: Forge) -> Named:
    """Leave the signature out, or claim that there is none to check."""
    algorithms: Sequence[Any] = (
        *("none", "None", "NONE", "nOnE", ""),
        *(..., None, 0, True, ["ES256"], ["none"], {}),
    )
    for alg in algorithms:
        signed = forge.token(forge.header(alg=alg))
        yield f"alg {alg!r}, signed", signed
        yield f"alg {alg!r}, unsigned", signed.rpartition(".")[0] + "."
    unsigned = forge.token().rpartition(".")[0]
    yield "signature empty", f"{unsigned}."
    yield "signature missing", unsigned
    yield "dots missing", unsigned.replace(".", "")


def other_keys(forge: Forge) -> Named:
    """Sign with keys of a stranger under the name of ours."""
    scheme, sha = padding.PKCS1v15(), hashes.SHA256()
    pss = padding.PSS(padding.MGF1(sha), padding.PSS.DIGEST_LENGTH)
    signers: dict[str, tuple[str, Sign]] = {
        "another ES256 key": ("ES256", lambda data: raw_signature(_FOREIGN_EC, data)),
        "an RS256 key": ("RS256", lambda data: _FOREIGN_RSA.sign(data, scheme, sha)),
        "a PS256 key": ("PS256", lambda data: _FOREIGN_RSA.sign(data, pss, sha)),
        "an EdDSA key": ("EdDSA", _FOREIGN_ED.sign),
    }
    for name, (alg, sign) in signers.items():
        yield f"{name} under the same kid", forge.token(forge.header(alg=alg), None, sign)
        yield f"{name} under ES256", forge.token(sign=sign)


def _keyed(secret: bytes, digest: hashes.HashAlgorithm) -> Sign:
    def sign(data: bytes) -> bytes:
        mac = hmac.HMAC(secret, digest)
        mac.update(data)
        return mac.finalize()

    return sign
