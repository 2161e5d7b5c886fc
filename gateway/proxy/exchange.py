"""One request on its way through."""

from dataclasses import dataclass

from gateway.proxy.body import Leash, Patience, RequestBody
from gateway.proxy.inbound import Inbound


@dataclass(slots=True)  # not frozen: each field of each request would cost a call
class Exchange:
    """A request, its body as it comes, how long the upstream may be silent, what may end it."""

    request: Inbound
    body: RequestBody
    patience: Patience
    leash: Leash
