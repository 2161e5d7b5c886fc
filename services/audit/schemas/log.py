"""Queries and answers about the log, and the two forms of an export."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_interface
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from chassis.errors import FieldError, InvalidInput
from chassis.http import QueryModel
from chassis.networks import plain_network
from services.audit.domain.entries import Entry
from services.audit.domain.filters import Cursor, Filters

COLUMNS = (
    "id",
    "type",
    "outcome",
    "actor",
    "subject",
    "ip",
    "user_agent",
    "occurred_at",
    "received_at",
    "source",
    "producerseq",
    "trace_id",
    "data",
    "erased",
)

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _moment(value: object) -> datetime:
    """Read RFC 3339 only: pydantic alone would take a bare number for a Unix time."""
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("an RFC 3339 time with an offset is wanted, '+' written as %2B")


def _network(value: object) -> str:
    try:
        return str(plain_network(str(ip_interface(str(value)).network)))
    except ValueError:
        raise ValueError("an IP address or network is wanted") from None


Moment = Annotated[datetime, BeforeValidator(_moment)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class FilterQuery(QueryModel):
    """What entries to read; `ip` is an address or a network, `from` counts, `to` does not."""

    type: Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")] | None = (
        None
    )
    actor: _Name | None = None
    target: _Name | None = None
    ip: Annotated[str, BeforeValidator(_network)] | None = None
    outcome: Literal["success", "failure", "denied"] | None = None
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")

    def filters(self) -> Filters:
        """Return the filters asked for. Raises InvalidInput when the time ends before it begins."""
        if self.since and self.until and self.since > self.until:
            detail = "The time asked for ends before it begins."
            raise InvalidInput(errors=[FieldError("/to", "before_from", detail)])
        names = ("type", "actor", "target", "ip", "outcome", "since", "until")
        return Filters(**{name: getattr(self, name) for name in names})


class ListQuery(FilterQuery):
    """One page of the log."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: Annotated[str, Field(max_length=64)] | None = None

    def after(self) -> Cursor | None:
        """Return where the page begins. Raises InvalidInput for a cursor that is not ours."""
        try:
            return Cursor.decode(self.cursor) if self.cursor else None
        except ValueError:
            detail = "This is not a cursor of an earlier answer."
            raise InvalidInput(errors=[FieldError("/cursor", "cursor", detail)]) from None


class ExportQuery(FilterQuery):
    """Everything that matches, in one of two forms."""

    format: Literal["ndjson", "csv"] = "ndjson"


class OwnExportQuery(QueryModel):
    """What the log holds of the caller."""

    format: Literal["ndjson", "csv"] = "ndjson"


def ndjson(entries: Iterable[Entry]) -> bytes:
    """Return one JSON object a line."""
    lines = (json.dumps(entry.shown(), ensure_ascii=False) + "\n" for entry in entries)
    return "".join(lines).encode()


def csv_header() -> bytes:
    """Return the first line of a CSV export."""
    return _csv([COLUMNS])


def csv_lines(entries: Iterable[Entry]) -> bytes:
    """Return one line per entry (RFC 4180); `data` is a cell of JSON."""
    return _csv([_cell(entry.shown()[name]) for name in COLUMNS] for entry in entries)


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """Return *value* so that no spreadsheet takes it for a formula (ASVS 1.2.10)."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # A spreadsheet may trim blanks before it looks, and keeps the quote out of sight.
    return (
        f"'{text}"
        if text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS)
        else text
    )
