"""The verifier of access tokens, row by row of the checklist J-01 to J-09 (RFC 8725)."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from chassis.jwt import (
    InvalidKeySet,
    InvalidToken,
    KeySet,
    TokenExpired,
    UnknownKey,
)
from chassis.testing import FixedClock
from chassis.tests.hostile.forge import encode
from chassis.tests.jwt_kit import (
    AUDIENCE,
    EC_KEY,
    ISSUER,
    KEYS,
    NOW,
    PRIMITIVES,
    PRIVATE,
    SID,
    SUB,
    claims,
    header,
    jwk,
    raw,
    refused,
    token,
    verifier,
)


class TestGoodTokens:
    """What is accepted, and what it says."""

    @pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
    def test_each_algorithm_verifies(self, alg: str) -> None:
        """A token of ours becomes values, and its principal."""
        verified = verifier().verify(token(alg), KEYS)

        assert (str(verified.sub), str(verified.sid), verified.jti) == (SUB, SID, "jti-1")
        assert verified.exp - verified.iat == timedelta(minutes=15)
        assert verified.kid == f"key-{alg}"
        assert verified.principal.version == 7
        assert verified.principal.roles == {"user"}

    def test_pyjwt_writes_what_we_read(self) -> None:
        """The ordinary encoder's output is accepted."""
        text = jwt.encode(
            claims(), EC_KEY, algorithm="ES256", headers={"kid": "key-ES256", "typ": "at+jwt"}
        )

        assert verifier().verify(text, KEYS).ver == 7


class TestJ01AlgorithmConfusion:
    """J-01: a public key is never a secret, and a key never verifies another algorithm."""

    @pytest.mark.parametrize("alg", ["ES256", "RS256"])
    @pytest.mark.parametrize("end", [b"", b"\n"])
    @pytest.mark.parametrize("form", ["pem", "der", "jwk"])
    def test_hmac_with_the_public_key(self, alg: str, end: bytes, form: str) -> None:
        """HS256 under PEM, DER and JWK of the public key, with and without a line break."""
        public = PRIVATE[alg].public_key()
        forms = {
            "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
            "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "jwk": json.dumps(jwk(alg)).encode(),
        }

        def sign(data: bytes) -> bytes:
            mac = hmac.HMAC(forms[form] + end, hashes.SHA256())
            mac.update(data)
            return mac.finalize()

        for claimed in ("HS256", alg):
            head = json.dumps(header(alg=claimed, kid=f"key-{alg}")).encode()
            refused(raw(head, json.dumps(claims()).encode(), sign))

    @pytest.mark.parametrize("claimed", ["RS256", "PS256", "ES384", "EdDSA", "HS256", "RS512"])
    def test_another_algorithm_in_the_header(self, claimed: str) -> None:
        """The header's word does not move a key to another algorithm."""
        refused(token("ES256", alg=claimed))

    def test_a_key_of_the_wrong_kind_is_not_loaded(self) -> None:
        """`alg` and the key's own kind must agree."""
        for wrong in (jwk("ES256", alg="RS256"), jwk("RS256", alg="EdDSA")):
            with pytest.raises(InvalidKeySet):
                KeySet.from_jwks({"keys": [wrong]})


class TestJ02None:
    """J-02: no signature is no token."""

    @pytest.mark.parametrize(
        "alg", ["none", "None", "NONE", "nOnE", "", ..., None, 0, True, ["ES256"], {"a": 1}]
    )
    def test_no_algorithm(self, alg: object) -> None:
        """`none` in every case, nothing, and what is not a string; signed and unsigned."""
        head = json.dumps(header(alg=alg)).encode()
        body = json.dumps(claims()).encode()

        refused(raw(head, body))
        refused(f"{encode(head)}.{encode(body)}.")

    def test_missing_signature(self) -> None:
        """An empty signature, and the dots missing."""
        signed = token()
        unsigned = signed.rpartition(".")[0]

        for text in (unsigned, f"{unsigned}.", unsigned.replace(".", ""), "", ".", "..", "..."):
            refused(text)


class TestJ03OneKeyOneAlgorithm:
    """J-03: the same `kid` does not verify another supported algorithm."""

    @pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
    @pytest.mark.parametrize("other", ["ES256", "EdDSA", "RS256"])
    def test_every_pair(self, alg: str, other: str) -> None:
        """Signed by one key, sent under the name of another: only the true pair passes."""
        text = token(alg, kid=f"key-{other}")

        if alg == other:
            assert verifier().verify(text, KEYS).kid == f"key-{alg}"
        else:
            assert refused(text) == "algorithm"


class TestJ04HostileKid:
    """J-04: `kid` is a name to look up and nothing else."""

    @pytest.mark.parametrize(
        "kid",
        [
            "../../dev/null",
            "' OR 1=1--",
            "\x00",
            "k" * 10_000,
            "k" * 65,
            "",
            "key-ES256\n",
            ["key-ES256"],
            {"a": 1},
            1,
            None,
            ...,
        ],
    )
    def test_badly_formed(self, kid: object) -> None:
        """Refused by form: no lookup, so no refetch either."""
        assert refused(token(kid=kid)) in {"header", "form"}

    def test_unknown(self) -> None:
        """Told apart, so that a verifier can refetch its key set once."""
        with pytest.raises(UnknownKey) as caught:
            verifier().verify(token(kid="another-key"), KEYS)

        assert caught.value.kid == "another-key"


class TestJ05HeadersThatNameKeys:
    """J-05: a token does not bring its key along, not even one that is well signed."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("jwk", jwk("ES256")),
            ("jku", "http://127.0.0.1:1/jwks.json"),
            ("x5u", "http://127.0.0.1:1/cert"),
            ("x5c", ["MIIB"]),
            ("x5t", "abc"),
        ],
    )
    def test_refused(self, name: str, value: Any) -> None:
        """The header may say `alg`, `kid` and `typ`, and nothing else."""
        assert refused(token(**{name: value})) == "header"


class TestJ06Extensions:
    """J-06: no extension is understood, so none is accepted (RFC 7515 §4.1.11)."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [("crit", ["exp"]), ("crit", []), ("b64", False), ("b64", True), ("zip", "DEF")],
    )
    def test_refused(self, name: str, value: Any) -> None:
        """Refused also when it would change nothing."""
        assert refused(token(**{name: value})) == "header"


class TestJ07IssuerAudienceSubject:
    """J-07: exactly our issuer, exactly our audience, a subject that is one."""

    @pytest.mark.parametrize(
        "iss",
        [
            ...,
            None,
            "",
            [ISSUER],
            f"{ISSUER}/",
            ISSUER.upper(),
            "https://auth.еxample",  # noqa: RUF001 - the look-alike is the case
            "http://auth.example",
        ],
    )
    def test_issuer(self, iss: object) -> None:
        """No trailing slash, no other case, no look-alike, no list."""
        assert refused(token(payload=claims(iss=iss))) == "iss"

    @pytest.mark.parametrize(
        "aud",
        [..., None, "", "Gatehouse", "gatehouse/", [], [AUDIENCE, "other"], ["other"], {"a": 1}],
    )
    def test_audience(self, aud: object) -> None:
        """Meant for us and for nobody else."""
        assert refused(token(payload=claims(aud=aud))) == "aud"

    def test_audience_as_a_list_of_one(self) -> None:
        """The list form of the same (RFC 7519 §4.1.3)."""
        assert verifier().verify(token(payload=claims(aud=[AUDIENCE])), KEYS).jti == "jti-1"

    @pytest.mark.parametrize("name", ["sub", "sid"])
    @pytest.mark.parametrize(
        "value", [..., None, "", "ada", 1, SUB.upper(), "{" + SUB + "}", [SUB]]
    )
    def test_ids(self, name: str, value: object) -> None:
        """`sub` and `sid` are UUIDs in their one canonical form."""
        assert refused(token(payload=claims(**{name: value}))) == name

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("jti", ...),
            ("jti", ""),
            ("jti", 1),
            ("jti", "a b"),
            ("ver", ...),
            ("ver", "7"),
            ("ver", True),
            ("ver", -1),
            ("ver", 7.0),
            ("roles", "admin"),
            ("roles", [1]),
            ("amr", "pwd"),
            ("scope", ["a"]),
        ],
    )
    def test_other_claims(self, name: str, value: object) -> None:
        """What is required is there, and everything has its type."""
        assert refused(token(payload=claims(**{name: value}))) == name


class TestTimes:
    """9.2.1: every time is required, whole, and compared with at most 30 s of leeway."""

    @pytest.mark.parametrize("name", ["exp", "iat", "auth_time"])
    @pytest.mark.parametrize("value", [..., None, "1767268800", 1.5, True, -1, 10**15, [1]])
    def test_form(self, name: str, value: object) -> None:
        """Whole seconds since 1970."""
        assert refused(token(payload=claims(**{name: value}))) == name

    def test_expiry_has_thirty_seconds_of_leeway(self) -> None:
        """Good until 30 s after `exp`, then its own code."""
        clock = FixedClock(NOW)
        text = token()
        clock.advance(timedelta(minutes=15, seconds=29))
        accepted = verifier(clock=clock).verify(text, KEYS)
        clock.advance(timedelta(seconds=1))

        with pytest.raises(TokenExpired) as caught:
            verifier(clock=clock).verify(text, KEYS)

        assert accepted.jti == "jti-1"
        assert (caught.value.status, caught.value.code) == (401, "token_expired")

    def test_what_has_expired_can_still_be_read(self) -> None:
        """As what it was, by whoever does not take it for a proof; a forged one cannot."""
        clock = FixedClock(NOW)
        clock.advance(timedelta(days=30))

        old = verifier(clock=clock).read(token(), KEYS)

        assert (str(old.sid), old.exp) == (SID, NOW + timedelta(minutes=15))
        with pytest.raises(InvalidToken):
            verifier(clock=clock).read(token()[:-4] + "AAAA", KEYS)

    def test_a_forged_token_is_not_told_to_be_expired(self) -> None:
        """Only a token of ours learns that it has run out."""
        old = int(NOW.timestamp()) - 10_000
        text = token(payload=claims(iat=old, auth_time=old, exp=old + 900))

        assert refused(text.rpartition(".")[0] + "." + token().rpartition(".")[2]) == "signature"

    @pytest.mark.parametrize("name", ["iat", "auth_time", "nbf"])
    def test_the_future(self, name: str) -> None:
        """30 s ahead is a clock, 31 s ahead is a forgery."""
        now = int(NOW.timestamp())

        assert verifier().verify(token(payload=claims(**{name: now + 30})), KEYS).ver == 7
        assert refused(token(payload=claims(**{name: now + 31}))) == "times"

    def test_the_leeway_is_bounded(self) -> None:
        """Nobody configures more than 30 s."""
        with pytest.raises(ValueError, match="30 s"):
            verifier(leeway=timedelta(seconds=31))


class TestJ08Type:
    """J-08: `typ` is exactly `at+jwt` (RFC 9068 §4)."""

    @pytest.mark.parametrize(
        "typ", ["JWT", "jwt", "AT+JWT", "at+JWT", "application/at+jwt", "rt+jwt", "", None, ..., 1]
    )
    def test_refused(self, typ: object) -> None:
        """No other kind of token is an access token."""
        assert refused(token(typ=typ)) == "header"


class TestJ09CompactForm:
    """J-09: one form of one token, byte by byte."""

    def test_other_serialisations(self) -> None:
        """JSON serialisation, two, four and five parts."""
        head, body, signature = token().split(".")
        flattened = json.dumps({"protected": head, "payload": body, "signature": signature})

        for text in (flattened, f"{head}.{body}", f"{token()}.x", f"{token()}.x.x", f".{token()}"):
            assert refused(text) == "form"

    @pytest.mark.parametrize("part", [0, 1, 2])
    @pytest.mark.parametrize("junk", ["=", "==", "+", "/", " ", "\n", "\t", "\x00", "é", "%3D"])
    def test_foreign_characters(self, part: int, junk: str) -> None:
        """No padding, no other alphabet, no white space, before, in or after a segment."""
        segments = token().split(".")
        for place in (0, 5, len(segments[part])):
            changed = [*segments]
            changed[part] = changed[part][:place] + junk + changed[part][place:]

            assert refused(".".join(changed)) == "form"

    def test_non_canonical_last_character(self) -> None:
        """A second spelling of the same bytes is not the same token."""
        signed = token()
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        twin = alphabet[alphabet.index(signed[-1]) + 1]

        assert base64.urlsafe_b64decode(signed[-86:] + "==") == base64.urlsafe_b64decode(
            signed[-86:-1] + twin + "=="
        )
        assert refused(signed[:-1] + twin) == "form"

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
    def test_other_encodings(self, encoding: str) -> None:
        """JSON is UTF-8 without a byte order mark (RFC 8259 §8.1)."""
        head, body = json.dumps(header()), json.dumps(claims())

        assert refused(raw(head.encode(encoding), body.encode())) == "header"
        assert refused(raw(head.encode(), body.encode(encoding))) == "payload"

    def test_duplicate_keys(self) -> None:
        """A key that stands twice has two readers with two opinions."""
        head, body = json.dumps(header()), json.dumps(claims())
        twice_head = head[:-1] + ', "alg": "ES256"}'
        twice_body = body[:-1] + f', "sub": "{SUB}"}}'
        nested = body[:-1] + ', "x": {"a": 1, "a": 1}}'

        assert refused(raw(twice_head.encode(), body.encode())) == "header"
        assert refused(raw(head.encode(), twice_body.encode())) == "payload"
        assert refused(raw(head.encode(), nested.encode())) == "payload"

    @pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"{", b"", b'{"a":NaN}'])
    def test_not_an_object(self, body: bytes) -> None:
        """Header and payload are JSON objects."""
        assert refused(raw(json.dumps(header()).encode(), body)) in {"payload", "form"}
        assert refused(raw(body, json.dumps(claims()).encode())) in {"header", "form"}

    def test_too_long(self) -> None:
        """8 KiB is the end; a deep nest inside it ends in a refusal too."""
        assert refused(token(payload=claims(extra="x" * 7000))) == "form"
        assert refused(raw(b"[" * 2000, b"{}")) == "header"

    def test_a_changed_bit_anywhere(self) -> None:
        """Each bit of the signed part and of the signature counts."""
        signed = bytearray(token().encode())
        for place in range(len(signed)):
            changed = bytearray(signed)
            changed[place] ^= 1

            refused(changed.decode("latin-1"))

    @given(st.text(max_size=300))
    def test_garbage(self, text: str) -> None:
        """Whatever is sent, the answer is a refusal."""
        refused(text)


class TestKeySet:
    """A key set is public, unambiguous and strong, or it is not used."""

    @pytest.mark.parametrize(
        "document",
        [
            None,
            [],
            {},
            {"keys": {}},
            {"keys": ["x"]},
            {"keys": [jwk("ES256"), jwk("ES256")]},
            {"keys": [jwk("ES256"), jwk("EdDSA", kid="key-ES256")]},
            {"keys": [jwk("ES256", d="AAAA")]},
            {"keys": [jwk("ES256", kid="../x")]},
            {"keys": [jwk("ES256", kid=None)]},
            {"keys": [jwk("ES256", x="AAAA")]},
            {"keys": [jwk("ES256", crv="P-384")]},
        ],
    )
    def test_refused(self, document: object) -> None:
        """Not a set, a `kid` twice, a private key, a name or a point that is none."""
        with pytest.raises(InvalidKeySet):
            KeySet.from_jwks(document)

    def test_weak_rsa(self) -> None:
        """RSA below 3072 bits is refused."""
        weak = rsa.generate_private_key(65537, 2048).public_key()
        entry = {**PRIMITIVES["RS256"].to_jwk(weak, as_dict=True), "kid": "weak", "alg": "RS256"}

        with pytest.raises(InvalidKeySet):
            KeySet.from_jwks({"keys": [entry]})

    def test_keys_for_others_are_passed_over(self) -> None:
        """A set may hold what we do not use (RFC 7517 §5)."""
        others = [
            {"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "hmac"},
            {"kty": "XYZ", "kid": "new"},
            jwk("ES256", kid="enc", use="enc"),
        ]

        assert KeySet.from_jwks({"keys": [*others, jwk("EdDSA")]}).kids == {"key-EdDSA"}
