"""Two sources of one order, tables and archives, as one page."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.audit.domain.entries import Entry
from services.audit.domain.filters import Cursor


@dataclass(frozen=True, slots=True)
class Slice:
    """What a source holds down to `reached`, newest first; None when there is nothing below."""

    entries: Sequence[Entry]
    reached: Cursor | None


def place(entry: Entry) -> Cursor:
    """Return where *entry* stands."""
    return Cursor(entry.received_at, entry.event_id)


def merge(one: Slice, other: Slice, *, limit: int) -> Slice:
    """Return at most *limit* entries of both, and how far they reach.

    A source that has not told all above some place keeps the other from showing what is below it.
    """
    horizons = [each.reached for each in (one, other) if each.reached is not None]
    horizon = max(horizons, key=_order) if horizons else None
    told = [
        entry
        for entry in (*one.entries, *other.entries)
        if horizon is None or _order(place(entry)) >= _order(horizon)
    ]
    told.sort(key=lambda entry: _order(place(entry)), reverse=True)
    shown = told[:limit]
    return Slice(shown, place(shown[-1]) if len(told) > limit else horizon)


def _order(cursor: Cursor) -> tuple[object, object]:
    return cursor.received_at, cursor.event_id
