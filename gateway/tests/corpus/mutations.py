"""Requests changed at random: from a seed, so that a run can be repeated."""

from collections.abc import Callable, Iterator, Sequence
from random import Random  # noqa: TID251 - a seed makes the run repeatable

_HEADS = (
    b"GET /open/@ HTTP/1.1\r\nHost: a\r\nAccept: */*",
    b"GET /open/@?a=b&c=%20d HTTP/1.1\r\nHost: localhost:8000\r\nCookie: a=b; c=d",
    b"GET /open/@ HTTP/1.0\r\nHost: a\r\nConnection: keep-alive",
    b"GET /shop/@ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x",
    b"GET /open/@ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket",
)
_POST = b"POST /open/@ HTTP/1.1\r\nHost: a\r\n"
_BODIES = (
    b"Content-Length: 5\r\n\r\nabcde",
    b"Content-Length: 43\r\n\r\nGET /open/hidden HTTP/1.1\r\nHost: hidden\r\n\r\n",
    b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n3;x=y\r\nfgh\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX-Late: 1\r\n\r\n",
)
_BASES = (*(head + b"\r\n\r\n" for head in _HEADS), *(_POST + body for body in _BODIES))
_OCTETS = b'\x00\t\n\r "#%,./:;=?\\_0\x7f\x80\xff'
_LINES = (
    b"Content-Length: 3",
    b"Content-Length: 0",
    b"Content-Length: 5, 5",
    b"Content-Length : 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:\tchunked",
    b"Host: b",
    b" folded",
    b"Connection: close",
    b"Connection: keep-alive, Content-Length",
    b"Connection: Upgrade",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"X: \x00",
    b"nonsense",
    b": nameless",
    b"0",
    b"5",
    b"",
)
_SWAPS = (
    (b"\r\n", b"\n"),
    (b"\r\n", b"\r"),
    (b": ", b":"),
    (b": ", b" : "),
    (b"HTTP/1.1", b"HTTP/1.0"),
    (b"HTTP/1.1", b"HTTP/2.0"),
    (b"/open/", b"/open/../"),
    (b"/open/", b"/open%2f"),
    (b"/open/", b"http://b/open/"),
    (b"GET", b"TRACE"),
    (b"POST", b"GET"),
    (b"chunked", b"Chunked"),
    (b"chunked", b"xchunked"),
    (b"Content-Length", b"Content_Length"),
    (b"5", b"0x5"),
    (b"3", b"+3"),
    (b"0\r\n\r\n", b"0\r\n"),
)

_Change = Callable[[bytes, Random], bytes]


def mutations(count: int, *, seed: int) -> Iterator[tuple[bytes, ...]]:
    """Yield the pieces of *count* connections: one to three requests, changed one to four times."""
    chance = Random(seed)  # noqa: S311 - not a secret
    for number in range(count):
        bases = chance.choices(_BASES, k=chance.choice((1, 1, 2, 3)))
        data = b"".join(bases).replace(b"@", b"%d" % number)
        for _ in range(chance.randint(1, 4)):
            data = chance.choice(_CHANGES)(data, chance)
        yield tuple(_cut(data, chance))


def _cut(data: bytes, chance: Random) -> Iterator[bytes]:
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 0, 1, 4))))
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        yield data[start:end]


def _place(data: bytes, chance: Random) -> int:
    return chance.randrange(len(data) + 1)


def _insert_octet(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + bytes([chance.choice(_OCTETS)]) + data[at:]


def _change_octet(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + bytes([chance.choice(_OCTETS)]) + data[at + 1 :]


def _flip_bit(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return (
        data[:at]
        + bytes(octet ^ 1 << chance.randrange(8) for octet in data[at : at + 1])
        + data[at + 1 :]
    )


def _drop_octets(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + chance.choice((1, 1, 2, 8)) :]


def _repeat_octets(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at : at + 16] * chance.choice((2, 3, 9)) + data[at + 16 :]


def _swap(data: bytes, chance: Random) -> bytes:
    old, new = chance.choice(_SWAPS)
    return data.replace(old, new, chance.choice((1, -1)))


def _on_lines(change: Callable[[list[bytes], Random], Sequence[bytes]]) -> _Change:
    def changed(data: bytes, chance: Random) -> bytes:
        return b"\r\n".join(change(data.split(b"\r\n"), chance))

    return changed


def _insert_line(lines: list[bytes], chance: Random) -> Sequence[bytes]:
    lines.insert(chance.randint(1, len(lines)), chance.choice(_LINES))
    return lines


def _drop_line(lines: list[bytes], chance: Random) -> Sequence[bytes]:
    del lines[chance.randrange(len(lines))]
    return lines


def _repeat_line(lines: list[bytes], chance: Random) -> Sequence[bytes]:
    lines.insert(chance.randint(0, len(lines)), chance.choice(lines))
    return lines


_CHANGES: tuple[_Change, ...] = (
    _insert_octet,
    _change_octet,
    _flip_bit,
    _drop_octets,
    _repeat_octets,
    _swap,
    *map(_on_lines, (_insert_line, _insert_line, _drop_line, _repeat_line)),
)
