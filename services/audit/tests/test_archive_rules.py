"""The archive's rules without a database: filters, objects, manifests, and joined pages."""

import base64
import gzip
import hashlib
import json
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain.archive import objects
from services.audit.domain.archive.contents import BITS, filter_of, positions
from services.audit.domain.archive.errors import DamagedError
from services.audit.domain.archive.manifest import PAYLOAD_TYPE, Manifest, Signer, name_of
from services.audit.domain.archive.objects import ArchiveObject, pack, unpack
from services.audit.domain.archive.rows import (
    ArchivedRow,
    Columns,
    PersonKey,
    Sealing,
    Share,
    read_line,
)
from services.audit.domain.archive.slices import Slice, merge, place
from services.audit.domain.entries import Entry
from services.audit.domain.filters import Cursor
from services.audit.tests.past import FEBRUARY, JANUARY

SEED, OTHER = b"1" * 32, b"2" * 32


def _columns(number: int = 0, **changes: Any) -> Columns:
    values: dict[str, Any] = {
        "received_at": JANUARY + timedelta(seconds=number),
        "event_id": UUID(int=number + 1),
        "type": "identity.login.succeeded.v1",
        "source": "identity",
        "producerseq": None,
        "outcome": "success",
        "subject": None,
        "occurred_at": JANUARY,
        "trace_id": None,
        "leaf_bytes": '{"ümlaut":"\u2028 and \\n"}'.encode(),
        "leaf_index": number,
    }
    return Columns(**(values | changes))


def _object(rows: int = 3) -> tuple[ArchiveObject, bytes]:
    packed = pack("202001", 0, [ArchivedRow(_columns(n), ()) for n in range(rows)], owners=[b"key"])
    return packed.described, packed.data


class TestContents:
    """Which object to look into."""

    def test_what_is_inside_is_never_denied(self) -> None:
        """Of as many items as an object can have."""
        items = [secrets.token_bytes(16) for _ in range(6000)]
        bits = filter_of(items)

        assert all(_holds(bits, item) for item in items)

    def test_what_is_not_inside_is_seldom_believed(self) -> None:
        """With the usual number of items, less than once in a thousand."""
        bits = filter_of(secrets.token_bytes(16) for _ in range(3000))

        wrong = sum(_holds(bits, secrets.token_bytes(16)) for _ in range(20_000))

        assert wrong < 20
        assert len(bits) == BITS / 8 == 8192


class TestRows:
    """A line of an object."""

    def test_come_back_as_they_were(self) -> None:
        """Every column, and the leaf byte for byte."""
        row = ArchivedRow(_columns(5), ())

        line = row.to_line()

        assert read_line(line) == row
        assert line.count(b"\n") == 1

    @pytest.mark.parametrize(
        "line", [b"", b"[]", b"{}", b'{"shares":[{"party":"stranger"}]}', b"\xff"]
    )
    def test_others_are_refused(self, line: bytes) -> None:
        """By name."""
        with pytest.raises(DamagedError):
            read_line(line)

    def test_shares_open_at_their_place_alone(self) -> None:
        """A box moved to another row, party or partition is damage, not data."""
        sealing, person = _sealing(), PersonKey(key_id=b"id", key=secrets.token_bytes(32))
        share = Share(party="actor", person_id=uuid4(), salt=b"s" * 32, body=b"{}")
        here, there = _columns(1), _columns(2)
        sealed = sealing.seal(here, share, person)

        assert sealing.open(here, sealed, {b"id": person.key}) == share
        assert sealing.open(here, sealed, {}) is None
        for columns, by in ((there, sealing), (here, _sealing("202002", sealing.key))):
            with pytest.raises(DamagedError):
                by.open(columns, sealed, {b"id": person.key})
        with pytest.raises(DamagedError):
            sealing.open(here, sealed, {b"id": secrets.token_bytes(32)})


class TestObjects:
    """Some thousand rows."""

    def test_are_plain_gzip(self) -> None:
        """Whoever has the file needs no program of ours to read it."""
        described, data = _object()

        lines = gzip.decompress(data).splitlines()

        assert [read_line(line) for line in lines] == unpack(described, data)
        assert described.sha256 == hashlib.sha256(data).digest()
        assert described.name == f"202001/000000-{described.sha256.hex()[:16]}.jsonl.gz"

    @pytest.mark.parametrize(
        "lie",
        [
            {"row_count": 4},
            {"first": (JANUARY, UUID(int=9))},
            {"last": (FEBRUARY, UUID(int=3))},
        ],
    )
    def test_must_be_what_the_index_says(self, lie: dict[str, Any]) -> None:
        """Number and span of the rows."""
        described, data = _object()
        values = {name: getattr(described, name) for name in ArchiveObject.__slots__}

        with pytest.raises(DamagedError):
            unpack(ArchiveObject(**(values | lie)), data)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"no gzip",
            gzip.compress(b"no json\n"),
            gzip.compress(b"x" * 10)[:-5],
            gzip.compress(bytes(10_000)),
        ],
        ids=["nothing", "no gzip", "no rows", "cut", "a bomb"],
    )
    def test_of_a_liar_are_refused(self, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Even one whose hash is in the index: nothing fills the memory."""
        monkeypatch.setattr(objects, "_MAX_BYTES", 5000)
        described, _ = _object()
        values = {name: getattr(described, name) for name in ArchiveObject.__slots__}
        signed = values | {"sha256": hashlib.sha256(data).digest()}

        with pytest.raises(DamagedError):
            unpack(ArchiveObject(**signed), data)


class TestManifests:
    """What is signed."""

    def test_can_be_checked_without_us(self) -> None:
        """By the DSSE protocol, with the public key and any Ed25519 library."""
        signer = Signer([SEED])
        envelope = json.loads(signer.sign(b'{"a":1}'))
        ((key_id, public),) = signer.public_keys.items()

        payload = base64.b64decode(envelope["payload"])
        encoded = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        Ed25519PublicKey.from_public_bytes(public).verify(signature, encoded)

        assert payload == b'{"a":1}'
        assert (
            envelope["signatures"][0]["keyid"] == key_id == hashlib.sha256(public).hexdigest()[:16]
        )

    def test_any_key_of_the_list_verifies(self) -> None:
        """Also after another one has become the first."""
        signed = Signer([SEED]).sign(b"{}")

        assert Signer([OTHER, SEED]).open(signed) == b"{}"
        with pytest.raises(DamagedError):
            Signer([OTHER]).open(signed)

    @pytest.mark.parametrize(
        "change",
        [
            {"payload": base64.b64encode(b'{"b":2}').decode()},
            {"payloadType": "text/plain"},
            {"signatures": []},
            {"signatures": [{"keyid": "x"}]},
            {"payload": "%"},
        ],
    )
    def test_changed_are_refused(self, change: dict[str, Any]) -> None:
        """Whatever was changed."""
        envelope = json.loads(Signer([SEED]).sign(b'{"a":1}'))

        with pytest.raises(DamagedError):
            Signer([SEED]).open(json.dumps(envelope | change).encode())

    def test_no_json_is_refused(self) -> None:
        """As anything else."""
        with pytest.raises(DamagedError):
            Signer([SEED]).open(b"\x00")

    def test_the_same_partition_has_the_same_bytes(self) -> None:
        """A second attempt signs the same, under the same name."""
        described, _ = _object()
        both = [
            Manifest.of("202001", (JANUARY, FEBRUARY), [described], previous=b"\x01")
            for _ in range(2)
        ]
        signed = [Signer([SEED]).sign(one.to_bytes()) for one in both]

        assert signed[0] == signed[1]
        assert name_of("202001", signed[0]) == name_of("202001", signed[1])
        assert json.loads(both[0].to_bytes())["leaves"]["last_index"] == 2


class TestJoinedPages:
    """Two sources of one order."""

    @given(st.data())
    def test_show_everything_once(self, data: st.DataObject) -> None:
        """Whatever each source holds, and however far it gets in one go."""
        numbers = data.draw(st.lists(st.integers(0, 60), unique=True))
        tables = sorted(data.draw(st.sets(st.sampled_from(numbers)) if numbers else st.just(set())))
        archives = sorted(set(numbers) - set(tables))
        limit = data.draw(st.integers(1, 7))
        shown: list[Entry] = []
        cursor: Cursor | None = None
        for _ in range(200):
            one = _slice(tables, cursor, data.draw(st.integers(1, 7)))
            other = _slice(archives, cursor, data.draw(st.integers(1, 7)))
            page = merge(one, other, limit=limit)
            assert len(page.entries) <= limit
            shown += page.entries
            cursor = page.reached
            if cursor is None:
                break

        assert [entry.event_id.int for entry in shown] == sorted(numbers, reverse=True)


def _slice(numbers: list[int], cursor: Cursor | None, count: int) -> Slice:
    """Return some of *numbers* behind *cursor*, as a source would."""
    left = [n for n in reversed(numbers) if cursor is None or n < cursor.event_id.int]
    entries = [_entry(number) for number in left[:count]]
    return Slice(entries, place(entries[-1]) if len(left) > count else None)


def _entry(number: int) -> Entry:
    return Entry(
        event_id=UUID(int=number),
        received_at=JANUARY + timedelta(seconds=number // 2),
        occurred_at=JANUARY,
        type="t",
        source="s",
        outcome="success",
        trace_id=None,
        leaf_bytes=b"{}",
        bodies=(),
    )


def _holds(bits: bytes, item: bytes) -> bool:
    return all(bits[position >> 3] & 1 << (position & 7) for position in positions(item))


def _sealing(partition: str = "202001", key: bytes | None = None) -> Sealing:
    return Sealing(partition=partition, key=key or secrets.token_bytes(32))
