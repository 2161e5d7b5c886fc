"""The platform's cookies: what they are called, how they are read and written (RFC 6265bis)."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from gateway.errors import AmbiguousCookies
from gateway.framing import RawHeaders, values_of

Kind = Literal["access", "refresh", "csrf", "device"]

# RFC 6265 §4.1.1: cookie-octet.
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class _Rule:
    same_site: Literal["Strict", "Lax"]
    http_only: bool = True
    lasting: timedelta | None = None


_RULES: dict[Kind, _Rule] = {
    # Lax: whoever follows a link into a product is logged in there. No method that changes
    # anything is sent with it from another site, and none passes without a CSRF token.
    "access": _Rule("Lax"),
    "refresh": _Rule("Strict"),
    "csrf": _Rule("Strict", http_only=False),
    # It outlives the browser, for as long as identity knows it: it logs nobody in, but keeps
    # strangers from locking its owner out.
    "device": _Rule("Strict", lasting=timedelta(days=180)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookies:
    """What the platform's cookies of a request hold; None where there is none."""

    access: str | None = None
    refresh: str | None = None
    csrf: str | None = None
    device: str | None = None


class PlatformCookies:
    """Reads and writes the cookies; *secure* is False only on a developer's loopback over http.

    Then their names have no `__Host-`, which browsers take over https alone. Only the one set of
    names is ever read.
    """

    def __init__(self, *, secure: bool) -> None:
        prefix = "__Host-gatehouse-" if secure else "gatehouse-"
        self._secure = secure
        self._kinds: dict[str, Kind] = {prefix + kind: kind for kind in _RULES}
        self._names = {kind: name for name, kind in self._kinds.items()}

    def read(self, headers: RawHeaders) -> Cookies:
        """Return what the cookies hold; a value that no server can set counts as none.

        Raises AmbiguousCookies when one is given twice: which of them is ours cannot be told.
        """
        found: dict[Kind, str] = {}
        for header in values_of(headers, b"cookie"):
            for pair in header.split(";"):
                name, _, value = pair.strip(" \t").partition("=")
                kind = self._kinds.get(name)
                if kind is None:
                    continue
                if kind in found:
                    raise AmbiguousCookies
                found[kind] = value
        return Cookies(**{kind: value for kind, value in found.items() if _VALUE.fullmatch(value)})

    def write(self, kind: Kind, value: str) -> str:
        """Return the Set-Cookie value that stores *value*."""
        lasting = _RULES[kind].lasting
        age = f"; Max-Age={int(lasting.total_seconds())}" if lasting else ""
        return f"{self._names[kind]}={value}{age}{self._attributes(kind)}"

    def expire(self, kind: Kind) -> str:
        """Return the Set-Cookie value that removes the cookie."""
        return f"{self._names[kind]}=; Max-Age=0{self._attributes(kind)}"

    def _attributes(self, kind: Kind) -> str:
        rule = _RULES[kind]
        secure = "; Secure" if self._secure else ""
        http_only = "; HttpOnly" if rule.http_only else ""
        return f"; Path=/{secure}{http_only}; SameSite={rule.same_site}"
