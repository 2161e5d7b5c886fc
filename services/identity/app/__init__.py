"""Identity put together: the only place that constructs."""

from services.identity.app.deployable import build

__all__ = ["build"]
