"""What a proxy is told besides what the edge tells."""

from chassis.errors import BadRequest, Forbidden


class OriginalUnclear(BadRequest):
    """What the proxy was asked does not follow from its question, or follows in two ways."""

    code = "original_request_unclear"
    title = "The proxy does not say, in one of the known ways, which request this is about."


class NotListed(Forbidden):
    """No route names this method, path and host."""

    code = "route_not_listed"
    title = "No route allows this."


class ProxyNotTrusted(Forbidden):
    """Who asks is not in `TRUSTED_PROXIES`."""

    code = "proxy_not_trusted"
    title = "Only trusted proxies may ask this."
