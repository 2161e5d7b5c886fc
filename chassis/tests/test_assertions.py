"""Assertions between services (D13): exactly this caller, this request, now."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.assertions import (
    AssertionInvalid,
    AssertionRequired,
    AssertionSigner,
    AssertionVerifier,
)
from chassis.caller import Principal
from chassis.crypto import b64encode
from chassis.testing import FixedClock

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY, OTHER, THIRD = (letter * 32 for letter in (b"k", b"o", b"t"))
TARGET = "/api/v1/users/me?x=1"


def _signer(
    clock: FixedClock, *, key: bytes = KEY, issuer: str = "gateway", audience: str = "identity"
) -> AssertionSigner:
    return AssertionSigner(issuer=issuer, audience=audience, secrets=[key], clock=clock)


def _verifier(clock: FixedClock) -> AssertionVerifier:
    return AssertionVerifier(
        audience="identity", secrets={"gateway": [OTHER, KEY], "token": [OTHER]}, clock=clock
    )


def _principal() -> Principal:
    return Principal(
        user_id=uuid4(),
        session_id=uuid4(),
        roles=frozenset({"user", "admin"}),
        version=3,
        auth_time=NOW,
    )


def test_what_was_asserted_arrives() -> None:
    """Issuer, principal, address and request id come through unchanged."""
    clock, principal = FixedClock(NOW), _principal()
    value = _signer(clock).sign(
        "GET", TARGET, request_id="r1", principal=principal, client_address="192.0.2.1"
    )
    assertion = _verifier(clock).verify(value, "GET", TARGET)
    assert assertion.issuer == "gateway"
    assert assertion.principal == principal
    assert (assertion.client_address, assertion.request_id) == ("192.0.2.1", "r1")


@pytest.mark.parametrize("age", [timedelta(seconds=-31), timedelta(seconds=61)])
def test_an_assertion_has_its_time(age: timedelta) -> None:
    """Older than 30 s + 30 s, or from the future, is refused."""
    clock = FixedClock(NOW)
    value = _signer(clock).sign("GET", TARGET, request_id="r1")
    clock.advance(age)
    with pytest.raises(AssertionInvalid):
        _verifier(clock).verify(value, "GET", TARGET)


@pytest.mark.parametrize(
    ("method", "target"), [("POST", TARGET), ("GET", "/api/v1/users/me"), ("GET", TARGET + "2")]
)
def test_an_assertion_is_for_one_request(method: str, target: str) -> None:
    """Another method, path or query is refused."""
    clock = FixedClock(NOW)
    value = _signer(clock).sign("GET", TARGET, request_id="r1")
    with pytest.raises(AssertionInvalid):
        _verifier(clock).verify(value, method, target)


@pytest.mark.parametrize(
    ("key", "issuer", "audience"),
    [
        (THIRD, "gateway", "identity"),
        (KEY, "token", "identity"),
        (KEY, "nobody", "identity"),
        (KEY, "gateway", "audit"),
    ],
)
def test_only_the_right_secret_of_the_right_edge_counts(
    key: bytes, issuer: str, audience: str
) -> None:
    """An unknown secret, another caller's name, another audience are refused."""
    clock = FixedClock(NOW)
    value = _signer(clock, key=key, issuer=issuer, audience=audience).sign(
        "GET", TARGET, request_id="r1"
    )
    with pytest.raises(AssertionInvalid):
        _verifier(clock).verify(value, "GET", TARGET)


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "a.b",
        "é.é",
        b64encode(b"[]") + ".a",
        b64encode(b'{"iss":[]}') + ".a",
        b64encode(b'{"iss":"gateway"}') + ".é",
        b64encode(b'{"iss":"gateway"}') + ".\ud800",
        "." * 9,
    ],
)
def test_garbage_is_refused(value: str) -> None:
    """Whatever is not an assertion raises AssertionInvalid."""
    with pytest.raises(AssertionInvalid):
        _verifier(FixedClock(NOW)).verify(value, "GET", TARGET)


@pytest.mark.parametrize(
    "odd",
    [
        {"iat": "now"},
        {"iat": None},
        {"iat": 1e300},
        {"iat": []},
        {"aud": None},
        {"prn": {"sub": "nobody"}},
        {"prn": {"sub": 7, "sid": 7, "roles": [], "ver": 1}},
        {"prn": []},
        {"psid": 7},
        {"psid": "nothing"},
    ],
)
def test_claims_of_another_kind_are_refused(odd: dict[str, object]) -> None:
    """Rightly signed, and still no assertion: 401, not a crash."""
    claims = {
        "iss": "gateway",
        "aud": "identity",
        "mth": "GET",
        "tgt": TARGET,
        "rid": "r1",
        "iat": int(NOW.timestamp()),
    }
    for document in (claims | odd, {k: v for k, v in claims.items() if k not in odd | {"rid": 0}}):
        payload = b64encode(json.dumps(document).encode())
        mac = b64encode(hmac.digest(KEY, payload.encode(), hashlib.sha256))
        with pytest.raises(AssertionInvalid):
            _verifier(FixedClock(NOW)).verify(f"{payload}.{mac}", "GET", TARGET)


def test_none_is_told_apart() -> None:
    """A request that did not come through the gateway is told so."""
    with pytest.raises(AssertionRequired):
        _verifier(FixedClock(NOW)).verify(None, "GET", TARGET)
