"""Requests that two servers would cut at different places (RFC 9112 §6, §7)."""

from gateway.tests.corpus.case import CHUNKED, END, GET, HOST, POST, Case, refused, served

_HIDDEN = b"GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
_TE = b"Transfer-Encoding: "
_CL = b"Content-Length: "
_AMBIGUOUS = "ambiguous_request"


def _te(value: bytes) -> bytes:
    return POST + _TE + value + END + b"0\r\n\r\n"


def _cl(value: bytes, body: bytes = b"abc") -> bytes:
    return POST + _CL + value + END + body


LENGTHS: tuple[Case, ...] = (
    refused("CL and TE", POST + _CL + b"3\r\n" + _TE + b"chunked" + END + b"0\r\n\r\n"),
    refused("TE and CL", POST + _TE + b"chunked\r\n" + _CL + b"3" + END + b"0\r\n\r\n"),
    refused(
        "CL and TE with a request hidden behind the last chunk",
        POST + _CL + b"%d\r\n" % (5 + len(_HIDDEN)) + _TE + b"chunked" + END,
        b"0\r\n\r\n" + _HIDDEN,
    ),
    refused(
        "TE and CL with a request hidden in a chunk",
        POST + _TE + b"chunked\r\n" + _CL + b"4" + END,
        b"%x\r\n" % len(_HIDDEN) + _HIDDEN + b"\r\n0\r\n\r\n",
    ),
    refused("two CL", POST + _CL + b"3\r\n" + _CL + b"4" + END + b"abcd"),
    refused("two equal CL", POST + _CL + b"3\r\n" + _CL + b"3" + END + b"abc"),
    refused("two CL, the first empty", POST + b"Content-Length:\r\n" + _CL + b"3" + END + b"abc"),
    refused("CL list", _cl(b"3, 5", b"abcde")),
    refused("CL list of equals", _cl(b"3, 3")),
    refused("CL plus", _cl(b"+5", b"abcde")),
    refused("CL negative", _cl(b"-3", b"")),
    refused("CL hexadecimal", _cl(b"0x3")),
    refused("CL with a letter", _cl(b"3a")),
    refused("CL with a blank within", _cl(b"3 3", b"abc" * 11)),
    refused("CL with an underscore", _cl(b"1_0", b"0123456789")),
    refused("CL fraction", _cl(b"3.0")),
    refused("CL exponent", _cl(b"1e1", b"0123456789")),
    refused("CL full-width digit", _cl(b"\xef\xbc\x93")),
    refused("CL quoted", _cl(b'"3"')),
    refused("CL empty", _cl(b"", b"")),
    refused("CL endless", _cl(b"9" * 40)),
    refused("CL one past 64 bits", _cl(b"18446744073709551616", b"")),
    refused("CL the largest of 64 bits", _cl(b"18446744073709551615"), status=400),
    refused("CL more than a route takes", _cl(b"999999999999", b""), status=413),
    refused("CL behind a space", POST + b"Content-Length : 3" + END + b"abc"),
    refused("CL behind a tab", POST + b"Content-Length\t: 3" + END + b"abc"),
    served("CL with leading zeros", _cl(b"003")),
    served("CL between blanks", _cl(b" \t 3 \t ")),
)

CODINGS: tuple[Case, ...] = (
    refused("TE unknown", _te(b"xchunked")),
    refused("TE of a longer name", _te(b"chunkedx")),
    refused("TE quoted", _te(b'"chunked"')),
    refused("TE list that ends in chunked", _te(b"identity, chunked")),
    refused("TE list that begins with chunked", _te(b"chunked, identity")),
    refused("TE chunked twice", _te(b"chunked, chunked")),
    refused("TE gzip", _te(b"gzip, chunked")),
    refused("TE identity", POST + _TE + b"identity" + END),
    refused("TE empty", POST + b"Transfer-Encoding:" + END),
    refused("TE comma", _te(b",chunked")),
    refused("TE with a parameter", _te(b"chunked;q=1")),
    refused("TE with a vertical tab", _te(b"\x0bchunked")),
    refused("TE with a NUL", _te(b"chunked\x00")),
    refused("TE non-breaking space", _te(b"\xa0chunked")),
    refused("two TE", POST + (_TE + b"chunked\r\n") * 2 + b"\r\n0\r\n\r\n"),
    refused("two TE, one identity", POST + _TE + b"identity\r\n" + _TE + b"chunked" + END),
    refused("TE behind a space", POST + b"Transfer-Encoding : chunked" + END + b"0\r\n\r\n"),
    refused("TE behind a tab", POST + b"Transfer-Encoding\t: chunked" + END + b"0\r\n\r\n"),
    refused("TE folded", POST + b"Transfer-Encoding:\r\n chunked" + END + b"0\r\n\r\n"),
    refused("TE behind a folded line", POST + b"X: y\r\n Transfer-Encoding: chunked" + END),
    refused(
        "TE in HTTP/1.0",
        b"POST /open/x HTTP/1.0\r\nHost: a\r\n" + _TE + b"chunked" + END + b"0\r\n\r\n",
        code=_AMBIGUOUS,
    ),
    served("TE in capitals", _te(b"CHUNKED")),
    served("TE behind a tab in its value", _te(b"\tchunked")),
    served("an unknown header that looks like it", POST + b"X_TE: chunked" + END),
)

CHUNKS: tuple[Case, ...] = (
    refused("chunk size with 0x", CHUNKED, b"0x3\r\nabc\r\n0\r\n\r\n"),
    refused("chunk size negative", CHUNKED, b"-1\r\n\r\n"),
    refused("chunk size with a plus", CHUNKED, b"+3\r\nabc\r\n0\r\n\r\n"),
    refused("chunk size behind a blank", CHUNKED, b" 3\r\nabc\r\n0\r\n\r\n"),
    refused("chunk size empty", CHUNKED, b"\r\nabc\r\n0\r\n\r\n"),
    refused("chunk size empty before an extension", CHUNKED, b";a\r\nabc\r\n0\r\n\r\n"),
    refused("chunk size of 20 digits", CHUNKED, b"F" * 20 + b"\r\n"),
    refused("chunk size of 17 digits", CHUNKED, b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    refused("chunk size not hexadecimal", CHUNKED, b"3g\r\nabc\r\n0\r\n\r\n"),
    refused("chunk size and a comma", CHUNKED, b"3,3\r\nabc\r\n0\r\n\r\n"),
    refused(
        "chunk larger than a route takes", CHUNKED, b"fffffffff\r\nabc", status=408, unfinished=True
    ),
    refused("chunk shorter than its data", CHUNKED, b"3\r\nabcX\r\n0\r\n\r\n"),
    refused("chunk without CRLF at its end", CHUNKED, b"3\r\nabc0\r\n\r\n"),
    refused("LF after a chunk size", CHUNKED, b"3\nabc\r\n0\r\n\r\n"),
    refused("LF after a chunk", CHUNKED, b"3\r\nabc\n0\r\n\r\n"),
    refused("CR alone after a chunk size", CHUNKED, b"3\rabc\r\n0\r\n\r\n"),
    refused("LF after a chunk extension", CHUNKED, b"3;a=b\nabc\r\n0\r\n\r\n"),
    refused("CR within a chunk extension", CHUNKED, b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    refused("NUL in a chunk extension", CHUNKED, b"3;a\x00\r\nabc\r\n0\r\n\r\n"),
    refused("blank before a chunk extension ends", CHUNKED, b"3 \r\nabc\r\n0\r\n\r\n"),
    refused("LF after the last chunk", CHUNKED, b"0\n\n"),
    refused("trailer without a colon", CHUNKED, b"0\r\nnonsense\r\n\r\n"),
    refused("trailer folded", CHUNKED, b"0\r\nX: y\r\n z\r\n\r\n"),
    refused("trailer of LF alone", CHUNKED, b"0\r\nX: y\n\r\n"),
    served("chunk size in capitals", CHUNKED, b"A\r\n0123456789\r\n0\r\n\r\n"),
    served("chunk size with leading zeros", CHUNKED, b"0003\r\nabc\r\n000\r\n\r\n"),
    served("chunk extension", CHUNKED, b'3;a=b;c="d e"\r\nabc\r\n0\r\n\r\n'),
    served(
        "chunks byte by byte", CHUNKED, *(bytes([b]) for b in b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    ),
    served("trailer", CHUNKED, b"3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n"),
)

HOSTS: tuple[Case, ...] = (
    refused("two hosts", GET + HOST + b"Host: b" + END, code=_AMBIGUOUS),
    refused("two equal hosts", GET + HOST + HOST + b"\r\n", code=_AMBIGUOUS),
    refused("no host", GET + b"\r\n", code=_AMBIGUOUS),
    refused("empty host", GET + b"Host:" + END, code=_AMBIGUOUS),
    refused("host with a user", GET + b"Host: good:@evil" + END),
    refused("host list", GET + b"Host: a, b" + END),
    refused("host with a path", GET + b"Host: a/b" + END),
    refused("host with a query", GET + b"Host: a?b" + END),
    refused("host with a fragment", GET + b"Host: a#b" + END),
    refused("host with a blank", GET + b"Host: a b" + END),
    refused("host with a tab", GET + b"Host: a\tb" + END),
    refused("host with a scheme", GET + b"Host: http://a" + END),
    refused("host with a large port", GET + b"Host: a:123456" + END),
    refused("host with a port of letters", GET + b"Host: a:http" + END),
    refused("host with an open bracket", GET + b"Host: [::1" + END),
    refused("host not ASCII", GET + b"Host: caf\xc3\xa9" + END),
    refused("host escaped", GET + b"Host: %61" + END),
    refused("host behind a folded line", GET + b"X: y\r\n Host: a" + END),
    refused("host in the first, folded line", GET + b" Host: a" + END),
    served("host in capitals", GET + b"HOST: A" + END),
    served("host of IPv6", GET + b"Host: [::1]:80" + END),
)
