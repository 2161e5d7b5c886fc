"""Hashes of other systems: which are read, verified and upgraded, and which cost too much (D4)."""

import base64
import hashlib
from typing import Any

import argon2
import bcrypt
import pytest

from services.identity.hashing import PasswordHasher, UnreadableHash, Verdict, read_hash
from services.identity.tests.configuration import CHEAP, PASSWORD

SALT = b"sixteen bytes ok"
RAW = PASSWORD.encode()


def b64(raw: bytes) -> str:
    """Encode without padding, as PHC does."""
    return base64.b64encode(raw).decode().rstrip("=")


def ab64(raw: bytes) -> str:
    """Encode as passlib does."""
    return b64(raw).replace("+", ".")


def pbkdf2(name: str, rounds: int, length: int | None = None) -> bytes:
    """Derive from the password of these tests."""
    return hashlib.pbkdf2_hmac(name, RAW, SALT, rounds, dklen=length)


def scrypt(n: int, r: int, p: int) -> bytes:
    """Derive from the password of these tests."""
    return hashlib.scrypt(RAW, salt=SALT, n=n, r=r, p=p, dklen=32)


def argon(kind: argon2.Type) -> str:
    """Hash the password of these tests."""
    return argon2.low_level.hash_secret(RAW, SALT, 3, 64, 2, 24, kind).decode()


def bcrypted(raw: bytes = RAW) -> str:
    """Hash *raw* at the lowest cost."""
    return bcrypt.hashpw(raw, bcrypt.gensalt(4)).decode()


SHA256, SHA512 = pbkdf2("sha256", 1000), pbkdf2("sha512", 1000)
HASHES = {
    "bcrypt 2b": bcrypted(),
    "bcrypt 2a": bcrypted().replace("$2b$", "$2a$"),
    "bcrypt 2y": bcrypted().replace("$2b$", "$2y$"),
    "bcrypt of Django": f"bcrypt${bcrypted()}",
    "bcrypt of SHA-256 of Django": "bcrypt_sha256$"
    + bcrypted(hashlib.sha256(RAW).hexdigest().encode()),
    "argon2id": argon(argon2.Type.ID),
    "argon2i": argon(argon2.Type.I),
    "argon2d": argon(argon2.Type.D),
    "argon2 of Django": f"argon2{argon(argon2.Type.ID)}",
    "pbkdf2 sha256 of passlib": f"$pbkdf2-sha256$1000${ab64(SALT)}${ab64(SHA256)}",
    "pbkdf2 sha512 of passlib": f"$pbkdf2-sha512$1000${ab64(SALT)}${ab64(SHA512)}",
    "pbkdf2 sha256 of PHC": f"$pbkdf2-sha256$i=1000,l=32${b64(SALT)}${b64(SHA256)}",
    "pbkdf2 sha256 of Keycloak": "$pbkdf2-sha256$1000$"
    f"{b64(SALT)}${b64(pbkdf2('sha256', 1000, 64))}",
    "pbkdf2 of Django": f"pbkdf2_sha256$1000${SALT.decode()}${base64.b64encode(SHA256).decode()}",
    "scrypt of passlib": f"$scrypt$ln=4,r=8,p=1${b64(SALT)}${b64(scrypt(16, 8, 1))}",
    "scrypt of Django": f"scrypt$16${SALT.decode()}$8$2$"
    + base64.b64encode(scrypt(16, 8, 2)).decode(),
}
# Made by the other system itself, and written down: our own functions could agree on a mistake.
VECTORS = {
    # passlib's own tests
    "$pbkdf2-sha256$1212$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ": (
        "password"
    ),
    "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44": (
        "password"
    ),
    "$pbkdf2-sha512$1212$RHY0Fr3IDMSVO/RSZyb5ow$eNLfBK.eVozomMr.1gYa17k9B7KIK25NOEshvhrSX.esqY3s"
    ".FvWZViXz4KoLlQI.BzY/YTNJOiKc5gBYFYGww": "password",
    # Django's
    "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdV"
    "CBhhY8mx7rQwite/Pw==": "l\u00e8tmein",
    "pbkdf2_sha256$24000$go9s3b1y1BTe$Pksk4EptJ84KDnI7ciocmhzFAb5lFoFwd6qlPOwwW4Q=": "KRONOS",
    # RFC 7914 §12
    f"$scrypt$ln=14,r=8,p=1${b64(b'SodiumChloride')}$"
    + b64(
        bytes.fromhex(
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
            "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
        )
    ): "pleaseletmein",
}
DIGEST = b64(b"d" * 32)
TOO_DEAR = [
    "$argon2id$v=19$m=102401,t=1,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$argon2id$v=19$m=102400,t=9,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$argon2i$v=19$m=8,t=4294967295,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$argon2d$v=19$m=1024,t=1,p=17$c2FsdHNhbHQ$" + DIGEST,
    "$argon2id$v=19$m=128,t=6400,p=16$c2FsdHNhbHQ$" + DIGEST,
    "$argon2id$v=19$m=16,t=129,p=2$c2FsdHNhbHQ$" + DIGEST,
    "$2b$15$" + "e" * 53,
    "$2b$31$" + "e" * 53,
    "bcrypt_sha256$$2b$20$" + "e" * 53,
    "$pbkdf2-sha512$2000001$c2FsdHNhbHQ$" + DIGEST,
    "$pbkdf2-sha256$1000001$c2FsdHNhbHQ$" + b64(b"d" * 64),
    "pbkdf2_sha256$9999999999$salt$" + DIGEST,
    "$scrypt$ln=17,r=8,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$scrypt$ln=99,r=8,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$scrypt$ln=16,r=8,p=7$c2FsdHNhbHQ$" + DIGEST,
    "$scrypt$ln=1,r=9999,p=9999$c2FsdHNhbHQ$" + DIGEST,
    "$scrypt$ln=1,r=33,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$scrypt$ln=1,r=8,p=17$c2FsdHNhbHQ$" + DIGEST,
    "scrypt$2147483648$salt$8$1$" + DIGEST,
]
BROKEN = [
    "$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$argon2id$v=19$m=8,t=1,p=2$c2FsdHNhbHQ$" + DIGEST,
    "$argon2id$v=19$m=64,t=1,p=1$c2Fs!$" + DIGEST,
    "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + b64(b"short"),
    "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + DIGEST + "$more",
    "$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$2b$04$short",
    "$2b$03$" + "e" * 53,
    "$2x$04$" + "e" * 53,
    "$2b$04$" + "a" * 53,
    "$2b$04$" + "e" * 52 + "b",
    "$2b$\u0660\u0664$" + "e" * 53,
    "$pbkdf2-sha256$\u0661\u0660$c2FsdHNhbHQ$" + DIGEST,
    "$scrypt$ln=16,r=1,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$pbkdf2-sha256$0$c2FsdHNhbHQ$" + DIGEST,
    "$pbkdf2-sha256$-1$c2FsdHNhbHQ$" + DIGEST,
    "$pbkdf2-sha256$1000$$" + DIGEST,
    "$pbkdf2-sha256$1000$c2FsdHNhbHQ$" + b64(b"d" * 65),
    "$pbkdf2-sha256$1000$c2FsdHNhbHQ$\u00e9" + DIGEST,
    "$scrypt$ln=0,r=8,p=1$c2FsdHNhbHQ$" + DIGEST,
    "$scrypt$ln=4,r=0,p=1$c2FsdHNhbHQ$" + DIGEST,
    "scrypt$15$salt$8$1$" + DIGEST,
]
UNSUPPORTED = [
    "",
    "plain",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    "$1$salt$hash",
    "$6$salt$hash",
    "$pbkdf2$1000$c2FsdHNhbHQ$" + DIGEST,
    "sha1$salt$hash",
    "md5$salt$hash",
    "$pepper$k1$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + DIGEST,
]


class TestSupported:
    """Each verifies the password and nothing else, and is replaced."""

    @pytest.mark.parametrize("stored", HASHES.values(), ids=HASHES.keys())
    def test_verifies_and_is_outdated(self, stored: str) -> None:
        """The next login hashes anew, with our own scheme."""
        hasher = PasswordHasher(CHEAP)
        assert hasher.verify(stored, PASSWORD) is Verdict.OUTDATED
        for wrong in ("", PASSWORD[:-1], PASSWORD + "x", PASSWORD.lower()):
            assert hasher.verify(stored, wrong) is Verdict.WRONG

    def test_agrees_with_the_systems_the_hashes_come_from(self) -> None:
        """Published vectors."""
        hasher = PasswordHasher(CHEAP)
        for stored, password in VECTORS.items():
            assert hasher.verify(stored, password) is Verdict.OUTDATED

    def test_bcrypt_only_knew_72_bytes(self) -> None:
        """What the old system let in is let in once more, and then hashed in full."""
        long = "\u00e9" * 40
        assert PasswordHasher(CHEAP).verify(bcrypted(long.encode()[:72]), long) is Verdict.OUTDATED

    def test_a_library_that_refuses_a_hash_lets_nobody_in(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor does it end the request: an attempt that is never settled counts as a failure."""

        def refuse(*_: object) -> bool:
            raise ValueError("no")

        monkeypatch.setattr("services.identity.hashing.foreign.bcrypt.bcrypt.checkpw", refuse)
        assert PasswordHasher(CHEAP).verify(bcrypted(), PASSWORD) is Verdict.WRONG

    def test_none_of_them_is_peppered(self) -> None:
        """A foreign hash behind our mark is nobody's."""
        hasher = PasswordHasher(CHEAP, (("k1", b"a pepper of thirty-two bytes ...."),))
        assert hasher.verify("$pepper$k1" + bcrypted(), PASSWORD) is Verdict.WRONG


class TestRefused:
    """What is not verified, at no cost."""

    @pytest.mark.parametrize(
        ("reason", "hashes"),
        [
            ("hash_too_expensive", TOO_DEAR),
            ("hash_malformed", BROKEN),
            ("hash_unsupported", UNSUPPORTED),
        ],
    )
    def test_is_told_by_a_code(self, reason: str, hashes: Any) -> None:
        """And lets nobody in."""
        for stored in hashes:
            with pytest.raises(UnreadableHash) as caught:
                read_hash(stored)
            assert caught.value.reason == reason, stored
            assert PasswordHasher(CHEAP).verify(stored, PASSWORD) is Verdict.WRONG

    @pytest.mark.slow
    def test_begins_right_above_the_dearest_that_is_taken(self) -> None:
        """Each of these takes about a second of one core, and is computed."""
        dearest = [
            "$argon2id$v=19$m=102400,t=8,p=1$c2FsdHNhbHQ$" + DIGEST,
            "$argon2id$v=19$m=8,t=102400,p=1$c2FsdHNhbHQ$" + DIGEST,
            "$argon2id$v=19$m=6400,t=16,p=16$c2FsdHNhbHQ$" + DIGEST,
            "$2b$14$" + bcrypted()[7:],
            "$pbkdf2-sha512$2000000$c2FsdHNhbHQ$" + DIGEST,
            "$pbkdf2-sha256$1000000$c2FsdHNhbHQ$" + b64(b"d" * 64),
            "$scrypt$ln=16,r=8,p=6$c2FsdHNhbHQ$" + DIGEST,
            "$scrypt$ln=1,r=32,p=16$c2FsdHNhbHQ$" + DIGEST,
            "$scrypt$ln=15,r=1,p=16$c2FsdHNhbHQ$" + DIGEST,
        ]
        hasher = PasswordHasher(CHEAP)
        for stored in dearest:
            assert read_hash(stored)
            assert hasher.verify(stored, PASSWORD) is Verdict.WRONG
