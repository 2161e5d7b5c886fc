"""Audit put together: the only place that constructs."""

from services.audit.app.archive import archive_target, archiver
from services.audit.app.parts import build

__all__ = ["archive_target", "archiver", "build"]
