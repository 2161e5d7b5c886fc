"""The checklist's rows J-01 to J-17 as far as the verifier alone answers for them.

What the gateway and the token service answer for stands in the modules of this name beside them.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from chassis.crypto import b64encode, parse_keys
from chassis.jwt import InvalidKeySet, InvalidToken, KeySet
from chassis.settings import EX_CONFIG, KeyList, Settings, load
from chassis.testing import eventually
from chassis.tests.hostile import Attack, Forge, attacks
from chassis.tests.jwt_kit import EC_KEY, KEYS, PRIMITIVES, claims, jwk, refused, token, verifier

FORGE = Forge(private=EC_KEY, kid="key-ES256", claims=claims())
ATTACKS = attacks(FORGE)


class TestEveryRow:
    """Attacks that are one step away from a token that passes."""

    def test_the_forge_is_good(self) -> None:
        """What nobody has tampered with passes, so each refusal below is of its one step."""
        assert str(verifier().verify(FORGE.token(), KEYS).sub) == FORGE.claims["sub"]

    @pytest.mark.parametrize("attack", ATTACKS, ids=str)
    def test_is_refused(self, attack: Attack) -> None:
        """As an invalid token, whatever the reason: the sender learns nothing."""
        assert refused(attack.token)

    @pytest.mark.parametrize("attack", ATTACKS, ids=str)
    def test_is_not_read_either(self, attack: Attack) -> None:
        """Not even by who would accept a token that has run out."""
        with pytest.raises(InvalidToken):
            verifier().read(attack.token, KEYS)


class TestJ05HeadersThatNameKeys:
    """J-05: nobody is asked for the key of a token."""

    async def test_the_attackers_listener_hears_nothing(self) -> None:
        """Every header that names a place, at a listener that counts: 0 connections but our own."""
        heard: list[object] = []

        async def hear(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(writer.get_extra_info("peername"))
            writer.close()

        async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            forge = Forge(
                private=EC_KEY,
                kid="key-ES256",
                claims=claims(),
                listener=f"http://127.0.0.1:{port}",
            )
            reasons = {refused(attack.token) for attack in attacks(forge) if attack.row == "J-05"}
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await eventually(lambda: heard)
            writer.close()

        assert len(heard) == 1  # ours: the listener does hear who comes
        assert reasons == {"header"}


class _Keyed(Settings):
    """Settings with one secret."""

    hmac_keys: KeyList


class TestJ12HmacKeys:
    """J-12: an HMAC key has at least the 256 bits of its hash (RFC 7518 §3.2)."""

    @pytest.mark.parametrize("size", [0, 1, 16, 31])
    def test_a_short_one_stops_the_start(
        self, size: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit 78 with the setting's name and without its value, also behind a good one."""
        short = b64encode(b"s" * size)
        monkeypatch.setenv("HMAC_KEYS", f"{b64encode(b'k' * 32)},{short}" if short else ",")

        with pytest.raises(SystemExit) as caught:
            load(_Keyed)

        told = capsys.readouterr().err
        assert caught.value.code == EX_CONFIG
        assert "HMAC_KEYS" in told
        assert not short or short not in told

    def test_a_whole_one_is_taken(self) -> None:
        """32 bytes and more."""
        assert [len(key) for key in parse_keys(",".join(map(b64encode, (b"k" * 32, b"l" * 64))))]


class TestJ13Audience:
    """J-13: a token is of use only where it is meant for."""

    def test_one_for_us_is_of_no_use_elsewhere(self) -> None:
        """The same token before the verifier of another audience."""
        with pytest.raises(InvalidToken) as caught:
            verifier(audience="notify").verify(FORGE.token(), KEYS)

        assert caught.value.reason == "aud"


class TestJ16KeySet:
    """J-16: a set that is not clean is not used at all."""

    @pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
    @pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
    def test_private_members(self, alg: str, member: str) -> None:
        """Whoever publishes a private key has lost it, and every token with it."""
        with pytest.raises(InvalidKeySet):
            KeySet.from_jwks({"keys": [jwk(alg, **{member: "AAAA"})]})

    @pytest.mark.parametrize("changes", [{"use": "enc"}, {"alg": None}, {"alg": "ES384"}])
    def test_keys_without_our_use_and_alg(self, changes: dict[str, Any]) -> None:
        """Passed over: no key verifies without an algorithm of its own."""
        assert not KeySet.from_jwks({"keys": [jwk("ES256", **changes)]}).kids

    @pytest.mark.parametrize("member", ["x", "y"])
    def test_a_point_beside_the_curve(self, member: str) -> None:
        """Not on P-256, so it would leak the one who computes with it."""
        with pytest.raises(InvalidKeySet):
            KeySet.from_jwks({"keys": [jwk("ES256", **{member: "A" * 43})]})

    @pytest.mark.parametrize("exponent", ["AQ", "Ag", "AA"])
    def test_rsa_exponents_that_hide_nothing(self, exponent: str) -> None:
        """1, 2 and 0."""
        with pytest.raises(InvalidKeySet):
            KeySet.from_jwks({"keys": [jwk("RS256", e=exponent)]})

    def test_a_weak_modulus(self) -> None:
        """Under 3072 bits, under the word RS256."""
        weak = rsa.generate_private_key(65537, 2048).public_key()
        entry = {**PRIMITIVES["RS256"].to_jwk(weak, as_dict=True), "kid": "weak", "alg": "RS256"}

        with pytest.raises(InvalidKeySet):
            KeySet.from_jwks({"keys": [jwk("ES256"), entry]})


class TestJ17Names:
    """J-17: what a deny list names are `jti` and `sid`, for a token has a second spelling."""

    def test_the_twin_signature_is_of_the_same_session(self) -> None:
        """ECDSA: (r, n - s) verifies too, other bytes of one and the same token."""
        other = verifier().verify(FORGE.token(sign=FORGE.twin), KEYS)
        one = verifier().verify(FORGE.token(), KEYS)

        assert (other.jti, other.sid) == (one.jti, one.sid)

    def test_a_token_is_never_valid_longer_than_its_life_and_the_leeway(self) -> None:
        """30 s after `exp` nobody takes it, so an entry of that age may be forgotten."""
        one = verifier(leeway=timedelta(seconds=30)).verify(token(), KEYS)

        assert one.exp - one.iat == timedelta(minutes=15)
        with pytest.raises(ValueError, match="leeway"):
            verifier(leeway=timedelta(seconds=30, microseconds=1))
