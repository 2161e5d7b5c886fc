"""Token put together: the only place that constructs."""

from services.token.app.parts import Parts, build
from services.token.app.signing import KeyTiming, signing_keys

__all__ = ["KeyTiming", "Parts", "build", "signing_keys"]
