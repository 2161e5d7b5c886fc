"""Keys and signatures of our own reading beside PyJWT's, which stays the oracle."""

from typing import Any

import pytest
from jwt import PyJWK

from chassis.jwt import ALGORITHMS, InvalidKeySet, KeySet
from chassis.jwt.primitives import read_key, verifies
from chassis.tests.jwt_kit import PRIMITIVES, PRIVATE, jwk

SIGNED = b"header.payload"


@pytest.mark.parametrize("alg", ALGORITHMS)
class TestOracle:
    """For every algorithm, both say the same."""

    def test_a_key_is_the_same_key(self, alg: str) -> None:
        """Read from the same document."""
        assert read_key(jwk(alg), alg) == PyJWK(jwk(alg), algorithm=alg).key

    def test_a_signature_holds(self, alg: str) -> None:
        """Over what was signed, and over nothing else."""
        signature = PRIMITIVES[alg].sign(SIGNED, PRIVATE[alg])
        public = read_key(jwk(alg), alg)
        assert verifies(alg, public, SIGNED, signature)
        assert not verifies(alg, public, SIGNED + b".", signature)

    def test_no_changed_signature_holds(self, alg: str) -> None:
        """One bit of each byte, one byte less, one more, nothing, and nothing but zeros."""
        good = PRIMITIVES[alg].sign(SIGNED, PRIVATE[alg])
        public = read_key(jwk(alg), alg)
        changed = [
            good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 7)
        ]
        for signature in (*changed, good[:-1], good + b"\0", b"", bytes(len(good))):
            assert not verifies(alg, public, SIGNED, signature)
            assert not PRIMITIVES[alg].verify(SIGNED, public, signature)


class TestBadKeys:
    """What is no key for its algorithm is refused when the set is read."""

    @pytest.mark.parametrize(
        ("alg", "changes"),
        [
            ("ES256", {"kty": "RSA"}),
            ("ES256", {"crv": "P-384"}),
            ("ES256", {"x": "AA"}),
            ("ES256", {"y": None}),
            ("ES256", {"x": "A" * 43, "y": "A" * 43}),
            ("ES256", {"x": "not base64url!"}),
            ("EdDSA", {"crv": "Ed448"}),
            ("EdDSA", {"x": "AA"}),
            ("EdDSA", {"x": 7}),
            ("RS256", {"kty": "EC"}),
            ("RS256", {"n": ""}),
            ("RS256", {"n": ["AQAB"]}),
            ("RS256", {"e": "AA"}),
            ("RS256", {"e": "AQ"}),
        ],
    )
    def test_they_make_no_set(self, alg: str, changes: dict[str, Any]) -> None:
        """Kind, curve, length, encoding, point and exponent."""
        with pytest.raises(InvalidKeySet):
            KeySet.from_jwks({"keys": [jwk(alg, **changes)]})
