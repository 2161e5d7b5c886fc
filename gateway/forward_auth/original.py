"""Which request a proxy asks about: three ways of saying it, and no mixture of them.

| Proxy   | Asks                        | Method             | URL                            |
|---------|-----------------------------|--------------------|--------------------------------|
| Traefik | GET /forward-auth           | X-Forwarded-Method | X-Forwarded-Proto, -Host, -Uri |
| nginx   | GET /forward-auth           | X-Original-Method  | X-Original-URL                 |
| Envoy   | METHOD /forward-auth + path | as asked           | Host, and the path             |

A client behind one proxy can send the headers of another, which that one passes on: whatever mixes
two of the ways is refused. So is what asks the product itself to serve another method or path than
those judged here: the proxy would pass it on.
"""

import re
from dataclasses import dataclass

from starlette.types import Scope

from gateway.forward_auth.errors import OriginalUnclear
from gateway.framing import values_of

PATH = b"/forward-auth"

_TRAEFIK = ("x-forwarded-method", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri")
_NGINX = ("x-original-method", "x-original-url")
# Other proxies write these two as well: they do not say which way it is.
_SHARED = frozenset({"x-forwarded-proto", "x-forwarded-host"})

# What frameworks take for the method or the path of a request.
_OVERRIDES = frozenset(
    {b"x-http-method-override", b"x-http-method", b"x-method-override", b"x-rewrite-url"}
)
_SOCKET = b"sec-websocket-"

_METHOD = re.compile(r"[A-Z]{1,16}")
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_HOST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)(:[0-9]{1,5})?")
_URL = re.compile(r"([a-z]{2,5})://([^/?#]+)(/[^#]*)")
_DEFAULT_PORTS = frozenset({None, ":80", ":443"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The request as the proxy got it; the path is raw, and judged by nobody yet."""

    method: str
    host: str
    raw_path: bytes
    query: bytes

    def within(self, scope: Scope) -> Scope:
        """Return the scope of a question as if the original had come itself, with its headers."""
        return {
            **scope,
            "method": self.method,
            "path": self.raw_path.decode("latin-1"),
            "raw_path": self.raw_path,
            "query_string": self.query,
        }


def original_of(scope: Scope, host: str) -> Original:
    """Return what the question of *scope*, sent to *host*, is about. Raises OriginalUnclear."""
    path: bytes = scope["raw_path"]
    # Some frameworks read X_HTTP_Method as X-HTTP-Method.
    if any(name.replace(b"_", b"-") in _OVERRIDES for name, _ in scope["headers"]):
        raise OriginalUnclear
    if path != PATH:
        return _of_envoy(scope, host)
    traefik, nginx = _given(scope, _TRAEFIK), _given(scope, _NGINX)
    if nginx and (traefik.keys() <= _SHARED):
        return _of_nginx(nginx)
    if traefik and not nginx:
        return _of_traefik(traefik)
    raise OriginalUnclear


def opens_socket(scope: Scope) -> bool:
    """Say whether the original is the handshake of a WebSocket connection (RFC 6455, RFC 8441).

    Proxies take Upgrade out of their questions, but not what stands beside it.
    """
    return any(name.startswith(_SOCKET) for name, _ in scope["headers"])


def _of_envoy(scope: Scope, host: str) -> Original:
    decisive = (set(_TRAEFIK) - _SHARED) | set(_NGINX)
    path: bytes = scope["raw_path"]
    if not path.startswith(PATH + b"/") or _given(scope, tuple(decisive)):
        raise OriginalUnclear
    return _original(scope["method"], host, path.removeprefix(PATH), scope["query_string"])


def _of_traefik(given: dict[str, str]) -> Original:
    if given.keys() != set(_TRAEFIK) or given["x-forwarded-proto"] not in _SCHEMES:
        raise OriginalUnclear
    path, _, query = given["x-forwarded-uri"].partition("?")
    return _original(
        given["x-forwarded-method"],
        given["x-forwarded-host"],
        path.encode("latin-1"),
        query.encode("latin-1"),
    )


def _of_nginx(given: dict[str, str]) -> Original:
    url = _URL.fullmatch(given.get("x-original-url", ""))
    if url is None or url[1] not in _SCHEMES or "x-original-method" not in given:
        raise OriginalUnclear
    path, _, query = url[3].partition("?")
    return _original(
        given["x-original-method"], url[2], path.encode("latin-1"), query.encode("latin-1")
    )


def _original(method: str, host: str, path: bytes, query: bytes) -> Original:
    """Return it with the host as routes name it: in lower case, without a default port."""
    name = _HOST.fullmatch(host)
    if name is None or not _METHOD.fullmatch(method) or not path.startswith(b"/"):
        raise OriginalUnclear
    port = "" if name[2] in _DEFAULT_PORTS else name[2]
    return Original(method=method, host=name[1].lower() + port, raw_path=path, query=query)


def _given(scope: Scope, names: tuple[str, ...]) -> dict[str, str]:
    """Return the headers that are there. Raises OriginalUnclear for one that is there twice."""
    found = {name: values_of(scope["headers"], name.encode()) for name in names}
    if any(len(values) > 1 for values in found.values()):
        raise OriginalUnclear
    return {name: values[0] for name, values in found.items() if values}
