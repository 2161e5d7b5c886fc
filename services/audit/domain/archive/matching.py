"""Whether an archived row is asked for: the same answers as the queries of the tables give."""

import json
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from services.audit.domain.archive.rows import Columns, Share
from services.audit.domain.filters import Cursor, Filters
from services.audit.domain.leaves import searchable


def in_question(columns: Columns, filters: Filters, *, after: Cursor | None) -> bool:
    """Say whether what is not personal of a row matches, and it stands behind *after*."""
    if after is not None and columns.place >= (after.received_at, after.event_id):
        return False
    if filters.since is not None and columns.received_at < filters.since:
        return False
    if filters.until is not None and columns.received_at >= filters.until:
        return False
    return filters.type in (None, columns.type) and filters.outcome in (None, columns.outcome)


def asks_for_persons(filters: Filters) -> bool:
    """Say whether *filters* can only be answered with the shares open."""
    personal = (filters.actor, filters.target, filters.ip, filters.person_id)
    return any(value is not None for value in personal)


def matches(columns: Columns, shares: Sequence[Share], filters: Filters) -> bool:
    """Say whether what is personal of a row matches; each filter may hold for another party."""
    told = [searchable(json.loads(share.body)) for share in shares]
    if filters.person_id is not None and filters.person_id not in {s.person_id for s in shares}:
        return False
    if filters.actor is not None and filters.actor not in {one["actor"] for one in told}:
        return False
    targets = {columns.subject, *(one["target"] for one in told)}
    if filters.target is not None and filters.target not in targets:
        return False
    return filters.ip is None or any(_inside(one, filters.ip) for one in told)


def _inside(told: dict[str, Any], network: str) -> bool:
    return told["ip"] is not None and ip_address(told["ip"]) in ip_network(network)
