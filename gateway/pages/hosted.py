"""Serving the hosted pages from memory."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent

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
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}


class HostedPages:
    """Holds the files of this folder by name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._pages = {
            path.name: Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=_HEADERS)
            for path in folder.iterdir()
            if path.suffix in _TYPES
        }

    @property
    def names(self) -> frozenset[str]:
        """Return the names of all files."""
        return frozenset(self._pages)

    def answer(self, name: str, request: Request) -> Response:
        """Return the page; a HEAD gets the headers alone."""
        page = self._pages[name]
        body = b"" if request.method == "HEAD" else page.body
        return Response(bytes(body), headers=dict(page.headers))
