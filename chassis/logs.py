"""Structured logs: one JSON object a line, and nothing secret in any of them."""

import atexit
import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TextIO

import structlog

from chassis.output import standard_output

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
_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ENCODER = json.JSONEncoder(default=repr)
_bound: ContextVar[Mapping[str, str]] = ContextVar("bound", default=_NOTHING)


def configure(*, level: str, style: str) -> None:
    """Set up structlog and the standard library's logging; called once, by an entry point.

    Our own lines go straight to standard output: what the standard library does for each of them
    costs more than all else about it. What libraries log takes that way, and looks alike.
    """
    _threshold.least = _LEVELS[level]
    _threshold.json = style == "json"
    shared: list[structlog.typing.Processor] = [
        _with_bound,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        _rendered if style == "json" else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    structlog.configure(
        processors=[_threshold, *shared, renderer],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    atexit.unregister(standard_output.flush)
    atexit.register(standard_output.flush)
    handler = _Handler(sys.stdout)
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


class Bound:
    """Lets every line that is written inside its block carry *fields*."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _bound.set(self._fields)

    def __exit__(self, *_: object) -> None:
        _bound.reset(self._token)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def writes(level: str) -> bool:
    """Say whether lines of *level* are written: to ask costs less than to have one dropped."""
    return _LEVELS[level] >= _threshold.least


def is_json() -> bool:
    """Say whether `configure` was told to have lines written as JSON."""
    return _threshold.json


def as_json(fields: MutableMapping[str, Any]) -> str:
    """Return *fields*, redacted, as a line has them."""
    return _ENCODER.encode(redact(None, "", fields))


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


class _Lines:
    """What structlog hands rendered lines to; *name* says whose they are."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def write(self, line: str) -> None:
        """Write one line; that nobody can read it fails no request."""
        standard_output.write(line + "\n")

    debug = info = warning = error = critical = exception = write


class _Handler(logging.StreamHandler[TextIO]):
    """Writes what libraries log, after what was said before."""

    def emit(self, record: logging.LogRecord) -> None:
        standard_output.flush()
        super().emit(record)


class _Threshold:
    """Drops lines below a level, which may change: loggers in use keep their processors."""

    least = logging.INFO
    json = False

    def __call__(
        self, _logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if _LEVELS.get(method, logging.ERROR) < self.least:
            raise structlog.DropEvent
        return event


_threshold = _Threshold()


def _with_bound(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {**_bound.get(), **event}


def _rendered(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return _ENCODER.encode(event)
