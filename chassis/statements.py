"""SQL for the driver's own connection, with names where PostgreSQL wants numbers."""

import re
from collections.abc import Mapping
from typing import Any

# A cast (`x::text`) is no name.
_NAME = re.compile(r"(?<![:\w]):([a-z_]+)\b")


class HotStatement:
    """A statement that every request of its kind passes, written with `:names`.

    `sql` has each name as one `$n`. PostgreSQL tells the type of a parameter by its first place:
    where it cannot, CAST it.
    """

    def __init__(self, sql: str) -> None:
        self.names = tuple(dict.fromkeys(_NAME.findall(sql)))
        numbers = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        self.sql = _NAME.sub(lambda match: numbers[match[1]], sql)

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return *parameters* in the order of `sql`. Raises KeyError when one is missing."""
        return [parameters[name] for name in self.names]
