"""Names of headers that mean something to the gateway, and so are not for others to write.

All in lower case. RFC 9110 §7.6.1 for the hop-by-hop headers; D13 and D19 for the rest.
"""

import re

HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
FRAMING = frozenset({"content-length", "expect", "host"})
"""Written anew for the upstream; 100-continue is answered here."""

DROPPED_FROM_ANSWERS = frozenset({"date", "x-request-id"})
"""Set anew here."""

FOR_THE_WHOLE_HOST = frozenset(
    {
        "alt-svc",
        "clear-site-data",
        "nel",
        "report-to",
        "service-worker-allowed",
        "strict-transport-security",
    }
)
"""What speaks for the whole host, which a product shares with the platform and other products."""

# Who the client is and what it asked for is for the gateway alone to say.
_IDENTITY = re.compile(
    r"x-forwarded(-.*)?|forwarded|x-auth-.*|gatehouse-assertion|x-request-id|traceparent|"
    r"x-real-ip|x-client-ip|client-ip|true-client-ip|cf-connecting-ip|x-cluster-client-ip|"
    r"fastly-client-ip|x-azure-clientip|x-originating-ip|x-proxyuser-ip|x-remote-(ip|addr)|"
    r"(wl-)?proxy-client-ip|x-envoy-external-address|"
    r"(x-)?(remote|authenticated)-user|x-(remote-|authenticated-)?(user(?!-agent)|roles?|groups?)(-.*)?|"
    r"x-original-(url|uri|host)|x-rewrite-url|x-host|x-http-method(-override)?|x-method-override|"
    r"proxy"  # which CGI programs read as HTTP_PROXY
)


def is_identity(name: str) -> bool:
    """Say whether a request header tells who the client is or what it asked for."""
    # Some frameworks read X_Auth_Subject as X-Auth-Subject.
    return _IDENTITY.fullmatch(name.replace("_", "-")) is not None
