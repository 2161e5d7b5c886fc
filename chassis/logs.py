"""Structured logs: one JSON object a line, and nothing secret in any of them."""

import logging
import re
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

import structlog

_SECRET_KEYS = re.compile(
    r"(?i)password|passwd|secret|authorization|cookie|api_?key|private|"
    r"^(token|body|.*_token|dsn|.*_url)$"
)
# Each pattern stands behind a text that every match of it holds: most values hold none of them.
_SECRET_VALUES = (
    ("eyJ", re.compile(r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"), "[jwt]"),
    ("gh_", re.compile(r"gh_[a-z]+_[\w-]{8,}"), "[token]"),
    ("://", re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+@"), "[credentials]@"),
    ("@", re.compile(r"[^\s@\"'<>(){}]+@[^\s@\"'<>(){}]+\.[^\s@\"'<>(){}]+"), "[email]"),
)
_REDACTED = "[redacted]"


def configure(*, level: str, style: str) -> None:
    """Set up structlog and the standard library's logging; called once, by an entry point."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiormq", "aio_pika", "alembic", "uvicorn", "asyncio", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take secrets and addresses out of a log line, by the name of the key and by their shape."""
    for key, value in event.items():
        if _is_secret(key):
            event[key] = _REDACTED
        elif isinstance(value, str):
            event[key] = scrub(value)
    return event


def scrub(text: str) -> str:
    """Replace whatever in *text* looks like a token, credentials or an e-mail address."""
    for part, pattern, replacement in _SECRET_VALUES:
        if part in text:
            text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=1000)
def _is_secret(key: str) -> bool:
    return _SECRET_KEYS.search(key) is not None
