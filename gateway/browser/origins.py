"""Where a browser's request comes from: Fetch Metadata, else Origin, else Referer.

Browsers write these headers themselves, no page can. The ones that do not know `Sec-Fetch-Site`
send an Origin with what changes anything; who sends neither proves nothing.
"""

from collections.abc import Collection

from yarl import URL

from gateway.errors import CrossOriginRefused
from gateway.framing import RawHeaders, values_of

_OURS = ("same-origin", "none")  # "none": typed, bookmarked, not asked for by any page


class TrustedOrigins:
    """Refuses what pages of other origins ask for; *origins* are trusted by name, exactly."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def check_change(self, headers: RawHeaders) -> None:
        """Let a request pass that may change something. Raises CrossOriginRefused."""
        site, origin, referer = (
            _single(headers, name) for name in (b"sec-fetch-site", b"origin", b"referer")
        )
        if origin == "null":
            raise CrossOriginRefused
        if site in _OURS:
            return
        if origin is None and site is None and referer is not None:
            origin = _origin_of(referer)
        if origin not in self._origins:
            raise CrossOriginRefused

    def check_read(self, headers: RawHeaders) -> None:
        """Let a request pass that only reads, unless the browser says a stranger asks for it.

        A browser without Fetch Metadata sends an Origin when a page of another asks to read; who
        sends neither is no page's script. Raises CrossOriginRefused.
        """
        site, origin = _single(headers, b"sec-fetch-site"), _single(headers, b"origin")
        if site in _OURS or (site is None and origin is None):
            return
        self.check_change(headers)

    def check_socket(self, headers: RawHeaders) -> None:
        """Let a WebSocket connection be opened by a page of an origin that is trusted by name.

        Browsers send cookies along from any page, ask no leave (CORS) and let it read what comes;
        but the Origin they always send (RFC 6455 §10.2). Raises CrossOriginRefused.
        """
        if _single(headers, b"origin") not in self._origins:
            raise CrossOriginRefused


def _single(headers: RawHeaders, name: bytes) -> str | None:
    """Return the one value, None when there is none. Raises CrossOriginRefused for two."""
    values = values_of(headers, name)
    if len(values) > 1:
        raise CrossOriginRefused
    return values[0] if values else None


def _origin_of(referer: str) -> str | None:
    try:
        return str(URL(referer).origin())
    except ValueError:
        return None
