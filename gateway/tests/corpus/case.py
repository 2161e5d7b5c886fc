"""One case of the corpus, and short ways to write one."""

from dataclasses import dataclass

GET = b"GET /open/x HTTP/1.1\r\n"
POST = b"POST /open/x HTTP/1.1\r\nHost: a\r\n"
HOST = b"Host: a\r\n"
END = b"\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Bytes of a client in *pieces*, each a write of its own, and what must come.

    *statuses* are those of the answers in order, *code* that of the last one's problem. A *kept*
    connection serves the next request, one that is not ends unasked. *forwarded* are the targets
    that the upstream sees. What is *unfinished* leaves the server waiting, so nothing follows it.
    """

    name: str
    pieces: tuple[bytes, ...]
    statuses: tuple[int, ...] = (400,)
    code: str | None = None
    kept: bool = False
    forwarded: tuple[str, ...] = ()
    unfinished: bool = False


def refused(
    name: str, *pieces: bytes, status: int = 400, code: str | None = None, unfinished: bool = False
) -> Case:
    """Return a case of one refusal that ends the connection."""
    return Case(name=name, pieces=pieces, statuses=(status,), code=code, unfinished=unfinished)


def served(
    name: str, *pieces: bytes, targets: tuple[str, ...] = ("/open/x",), kept: bool = True
) -> Case:
    """Return a case that is honest after all: each request of it is answered with 200."""
    return Case(
        name=name, pieces=pieces, statuses=(200,) * len(targets), forwarded=targets, kept=kept
    )


def answered(name: str, *pieces: bytes, status: int, code: str | None = None) -> Case:
    """Return a case that is refused for what it asks, not for how: the connection is kept."""
    return Case(name=name, pieces=pieces, statuses=(status,), code=code, kept=True)
