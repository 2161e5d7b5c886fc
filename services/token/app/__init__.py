"""Token put together: the only place that constructs."""

from services.token.app.parts import Parts, build

__all__ = ["Parts", "build"]
