"""The assertion that goes with a request: the gateway sent it, on whose behalf, for what (D13)."""

from collections.abc import Mapping

from chassis.assertions import HEADER, AssertionSigner
from chassis.clock import Clock
from chassis.http1.head import Headers
from gateway.address import text_of
from gateway.proxy.inbound import Inbound
from gateway.routing.table import Upstream

ISSUER = "gateway"

_NAME = HEADER.encode()


class Assertions:
    """Signs requests. *signers* are those of our own services, by name.

    A product's secrets stand in its upstream, and may be others after each reload.
    """

    def __init__(self, signers: Mapping[str, AssertionSigner], clock: Clock) -> None:
        self._signers = dict(signers)
        self._clock = clock

    def headers(self, request: Inbound) -> Headers:
        """Return the header with the assertion; none for a product that shares no secret."""
        signer = self._signer(request.upstream)
        if signer is None:
            return []
        signed = signer.sign(
            request.method,
            request.target,
            request_id=request.state.request_id,
            principal=request.principal,
            client_address=text_of(request.address),
            # A session that did not let its user in here is for no product to know.
            proven_sid=request.proven_sid if request.upstream.service else None,
        )
        return [(_NAME, signed.encode())]

    def _signer(self, upstream: Upstream) -> AssertionSigner | None:
        if upstream.service:
            return self._signers[upstream.name]
        if not upstream.assertion_secrets:
            return None
        return AssertionSigner(
            issuer=ISSUER,
            audience=upstream.name,
            secrets=upstream.assertion_secrets,
            clock=self._clock,
        )
