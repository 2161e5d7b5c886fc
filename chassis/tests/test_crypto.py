"""Sealed boxes, derived keys, canonical base64url."""

import secrets

import pytest

from chassis.crypto import (
    SealBrokenError,
    b64decode,
    b64encode,
    derive,
    parse_keys,
    seal,
    unseal,
)

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


def test_a_box_opens_under_any_listed_key() -> None:
    """After a rotation the old key still opens what it sealed."""
    box = seal([OLD], b"secret", context="mail:1")
    assert unseal([NEW, OLD], box, context="mail:1") == b"secret"


@pytest.mark.parametrize(
    ("keys", "context"), [([NEW], "mail:1"), ([OLD], "mail:2"), ([OLD], "Mail:1")]
)
def test_a_box_opens_only_for_its_key_and_context(keys: list[bytes], context: str) -> None:
    """Another key or another purpose breaks the seal."""
    box = seal([OLD], b"secret", context="mail:1")
    with pytest.raises(SealBrokenError):
        unseal(keys, box, context=context)


def test_a_changed_box_does_not_open() -> None:
    """One flipped bit is noticed."""
    key_id, _, encoded = seal([OLD], b"secret", context="c").partition(".")
    raw = bytearray(b64decode(encoded))
    raw[-1] ^= 1
    with pytest.raises(SealBrokenError):
        unseal([OLD], f"{key_id}.{b64encode(bytes(raw))}", context="c")


@pytest.mark.parametrize("box", ["", ".", "nonsense", "00000000.####", "é.é"])
def test_garbage_does_not_open(box: str) -> None:
    """Whatever is not a box raises the same error."""
    with pytest.raises(SealBrokenError):
        unseal([OLD], box, context="c")


@pytest.mark.parametrize("text", ["YQ==", "Y Q", "YR", "a+b/", "é"])
def test_only_canonical_base64url_is_decoded(text: str) -> None:
    """Padding, blanks, the other alphabet and stray bits are refused."""
    with pytest.raises(ValueError, match="base64url"):
        b64decode(text)


def test_keys_are_parsed_in_order() -> None:
    """The first of the list is the one that signs."""
    assert parse_keys(f"{b64encode(NEW)}, {b64encode(OLD)}") == (NEW, OLD)


@pytest.mark.parametrize("text", ["", " , ", b64encode(b"short"), "not base64!"])
def test_weak_or_missing_keys_are_refused(text: str) -> None:
    """An empty list, a short key, a broken encoding."""
    with pytest.raises(ValueError, match=r"key|base64url"):
        parse_keys(text)


def test_derived_keys_differ_by_purpose() -> None:
    """One root key gives unrelated keys."""
    assert derive(OLD, "device") != derive(OLD, "name hash")
