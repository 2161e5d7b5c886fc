"""Token as it is, but that the JWKS may be kept for 5 s: a rotation then takes half a minute.

    python -m bench.token_with_young_jwks [serve|migrate]

No stage is left out and none has another rule: clients are told `max-age=5`, and what a rotation
waits for follows from that and from the gateways' poll.
"""

from datetime import timedelta
from functools import partial
from pathlib import Path

import services.token
from chassis.entrypoint import main
from services.token.app import KeyTiming, build
from services.token.settings import TokenSettings

JWKS_MAX_AGE = timedelta(seconds=5)

if __name__ == "__main__":
    main(
        "bench.token_with_young_jwks",
        TokenSettings,
        partial(build, timing=KeyTiming(jwks_max_age=JWKS_MAX_AGE)),
        Path(services.token.__file__).parent,
    )
