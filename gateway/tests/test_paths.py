"""Paths and framing: what can be read in two ways is refused."""

import pytest
from starlette.types import Scope

from gateway.errors import AmbiguousPath, AmbiguousRequest, ExpectationUnknown, HeadersTooLarge
from gateway.framing import MAX_HEADERS, framing_of
from gateway.paths import segments_of, target_of


class TestSegments:
    """Taking a path apart."""

    @pytest.mark.parametrize(
        ("path", "segments"),
        [
            (b"/", ("",)),
            (b"/a/b", ("a", "b")),
            (b"/a/", ("a", "")),
            (b"/%61dmin", ("admin",)),
            (b"/caf%C3%A9/x~y", ("café", "x~y")),
            (b"/100%25", ("100%",)),
            (b"/a.b/..c/a..", ("a.b", "..c", "a..")),
        ],
    )
    def test_gives_decoded_segments(self, path: bytes, segments: tuple[str, ...]) -> None:
        """Rules apply to what the upstream will understand."""
        assert segments_of(path) == segments

    @pytest.mark.parametrize(
        "path",
        [
            b"",
            b"a",
            b"*",
            b"//a",
            b"/a//b",
            b"/a//",
            b"/./a",
            b"/a/../b",
            b"/a/..",
            b"/a/.",
            b"/a/%2e%2e/b",
            b"/a/.%2E/b",
            b"/a%2fb",
            b"/a%2Fb",
            b"/a%5cb",
            b"/a\\b",
            b"/a;x=1/b",
            b"/a%3bx",
            b"/a%00",
            b"/a%0d%0aX: y",
            b"/a%7f",
            b"/a\x00",
            b"/caf\xc3\xa9",
            b"/%ff",
            b"/%c0%ae",
            b"/%zz",
            b"/a%2",
            b"/a%252e%252e/b",
            b"/a/%25%32%65/b",
            b"/a b",
            b"/a?b",
            b"/a#b",
            b"/a|b",
        ],
    )
    def test_refuses_what_another_server_could_read_otherwise(self, path: bytes) -> None:
        """There is no second reading to exploit."""
        with pytest.raises(AmbiguousPath):
            segments_of(path)


class TestTarget:
    """The target that is forwarded."""

    def test_is_the_path_as_it_came(self) -> None:
        """Not one byte is rewritten."""
        assert target_of(b"/a%20b", b"x=%2e%2e&y=a?b") == "/a%20b?x=%2e%2e&y=a?b"
        assert target_of(b"/a", b"") == "/a"

    @pytest.mark.parametrize("query", [b"a b", b"a\xff", b"a\x00", b"a\t"])
    def test_refuses_a_query_that_is_not_printable_ascii(self, query: bytes) -> None:
        """Such bytes are escaped by every honest client."""
        with pytest.raises(AmbiguousPath):
            target_of(b"/a", query)


class TestFraming:
    """Where a request ends."""

    def test_knows_the_length_of_the_body(self) -> None:
        """A declared, a chunked and no body are told apart."""
        host = (b"host", b"localhost:8000")
        declared = framing_of(_scope(host, (b"content-length", b"3")))
        chunked = framing_of(_scope(host, (b"transfer-encoding", b"Chunked")))
        nothing = framing_of(_scope(host))
        assert (declared.content_length, declared.has_body) == (3, True)
        assert (chunked.content_length, chunked.has_body) == (None, True)
        assert (nothing.content_length, nothing.has_body) == (0, False)

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [(b"host", b"")],
            [(b"host", b"a"), (b"host", b"a")],
            [(b"host", b"good:@evil")],
            [(b"host", b"a b")],
            [(b"host", b"a/b")],
            [(b"host", b"a"), (b"content-length", b"3"), (b"content-length", b"3")],
            [(b"host", b"a"), (b"content-length", b"3, 5")],
            [(b"host", b"a"), (b"content-length", b"+5")],
            [(b"host", b"a"), (b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
            [(b"host", b"a"), (b"transfer-encoding", b"identity, chunked")],
            [(b"host", b"a"), (b"transfer-encoding", b"xchunked")],
            [(b"host", b"a"), (b"expect", b"100-continue"), (b"expect", b"100-continue")],
            [(b"host", b"a"), (b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
        ],
    )
    def test_refuses_what_could_be_cut_at_two_places(
        self, headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Nothing ambiguous is passed on, and the connection ends."""
        with pytest.raises(AmbiguousRequest) as refusal:
            framing_of(_scope(*headers))
        assert refusal.value.headers["Connection"] == "close"

    def test_knows_no_chunks_in_http_1_0(self) -> None:
        """A server of that time would take them for the next request."""
        scope = _scope((b"host", b"a"), (b"transfer-encoding", b"chunked"))
        with pytest.raises(AmbiguousRequest):
            framing_of({**scope, "http_version": "1.0"})

    @pytest.mark.parametrize("value", [b"200-ok", b"100-continue, x", b"100-continue;a=b"])
    def test_refuses_expectations_it_does_not_know(self, value: bytes) -> None:
        """Who expects what nobody does is told so at once."""
        with pytest.raises(ExpectationUnknown):
            framing_of(_scope((b"host", b"a"), (b"expect", value)))

    @pytest.mark.parametrize(
        "headers",
        [[(b"x", b"y")] * (MAX_HEADERS + 1), [(b"x", b"y" * 40_000)]],
    )
    def test_refuses_too_many_and_too_large_headers(
        self, headers: list[tuple[bytes, bytes]]
    ) -> None:
        """The limits hold for the sum."""
        with pytest.raises(HeadersTooLarge):
            framing_of(_scope((b"host", b"a"), *headers))


def _scope(*headers: tuple[bytes, bytes]) -> Scope:
    return {
        "http_version": "1.1",
        "headers": list(headers),
        "raw_path": b"/",
        "query_string": b"",
    }
