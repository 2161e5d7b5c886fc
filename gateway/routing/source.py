"""One route file, read and checked by itself: what it says, and where in it an entry stands."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.routing.schema import RouteFile

_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*(route|upstream)[ \t]*\]\]", re.MULTILINE)
_ENTRY_DEPTH = 2


class RoutesInvalid(Exception):  # noqa: N818 - said of the files
    """The route files do not hold; `lines` says everything that is wrong, and where."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read. `places` tells `FILE:LINE` of its n-th route or upstream."""

    file: RouteFile
    name: str
    places: Mapping[str, Sequence[str]]


def read_source(path: Path) -> Source:
    """Read the file at *path*. Raises RoutesInvalid."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise RoutesInvalid([f"{path}: cannot be read ({type(error).__name__})"]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RoutesInvalid([f"{path}: {error}"]) from None
    places = {kind: _places(path, text, document, kind) for kind in ("route", "upstream")}
    try:
        return Source(RouteFile.model_validate(document), str(path), places)
    except ValidationError as error:
        raise RoutesInvalid(list(_complaints(error, path, document, places))) from None


def _places(path: Path, text: str, document: Mapping[str, Any], kind: str) -> Sequence[str]:
    """Return where each entry begins; without the line where the file is written another way."""
    entries = document.get(kind)
    count = len(entries) if isinstance(entries, list) else 0
    headers = [match for match in _HEADER.finditer(text) if match[1] == kind]
    if len(headers) != count:
        return [str(path)] * count
    return [f"{path}:{text.count(chr(10), 0, match.start(1)) + 1}" for match in headers]


def _complaints(
    error: ValidationError,
    path: Path,
    document: Mapping[str, Any],
    places: Mapping[str, Sequence[str]],
) -> Iterable[str]:
    for item in error.errors(include_input=False, include_url=False):
        loc = item["loc"]
        what = item["msg"].removeprefix("Value error, ")
        kind, index = loc[:_ENTRY_DEPTH] if len(loc) >= _ENTRY_DEPTH else ("", 0)
        if kind not in places or not isinstance(index, int):
            yield f"{path}: {'.'.join(map(str, loc))}: {what}"
            continue
        entry = document[str(kind)][index]
        name = entry.get("path" if kind == "route" else "name") if isinstance(entry, dict) else None
        field = ".".join(map(str, loc[_ENTRY_DEPTH:]))
        yield ": ".join(
            filter(None, (places[str(kind)][index], f"{kind} {name or index + 1}", field, what))
        )
