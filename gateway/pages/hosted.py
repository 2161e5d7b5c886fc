"""Serving the hosted pages from memory."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent
DOCS = FOLDER.parent / "docs"

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# Redoc makes style elements: empty ones, which it fills by script, and the one of its scroll bars.
# Their hashes are let in, so that no other inline style is. Swagger UI needs only the pictures.
_REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
_READER_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_REDOC_STYLES}; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Folder:
    """Files of one folder and the Content-Security-Policy they are served under."""

    path: Path
    policy: str


MAILED = (Folder(FOLDER, _POLICY),)
"""What the mails link to."""
REFERENCE = (Folder(DOCS, _READER_POLICY), Folder(DOCS / "vendored", _READER_POLICY))
"""The pages and documents that describe the API."""


class HostedPages:
    """Holds the files of its folders by name."""

    def __init__(self, *folders: Folder) -> None:
        self._pages = {
            path.name: _response(path, folder.policy)
            for folder in folders
            for path in folder.path.iterdir()
            if path.suffix in _TYPES
        }

    @property
    def names(self) -> frozenset[str]:
        """Return the names of all files."""
        return frozenset(self._pages)

    def answer(self, name: str, request: Request) -> Response:
        """Return the page; a HEAD gets the headers alone, who has it already a 304."""
        page = self._pages[name]
        headers = dict(page.headers)
        if headers["etag"] in request.headers.get("if-none-match", ""):
            del headers["content-length"]
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = b"" if request.method == "HEAD" else page.body
        return Response(bytes(body), headers=headers)


def _response(path: Path, policy: str) -> Response:
    content = path.read_bytes()
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    }
    return Response(content, media_type=_TYPES[path.suffix], headers=headers)
