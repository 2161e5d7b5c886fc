"""Statements with names, as the driver gets them."""

import pytest

from chassis.statements import HotStatement


class TestHotStatement:
    """`HotStatement`."""

    def test_numbers_each_name_once(self) -> None:
        """In the order of their first places."""
        statement = HotStatement("SELECT :b, :a FROM t WHERE a = :a AND b_c = :b_c")
        assert statement.sql == "SELECT $1, $2 FROM t WHERE a = $2 AND b_c = $3"
        assert statement.arguments({"a": 1, "b": 2, "b_c": 3}) == [2, 1, 3]

    def test_leaves_casts_alone(self) -> None:
        """Two colons make no name, one behind a word neither."""
        statement = HotStatement("SELECT CAST(:a AS uuid)::text, '12:mm'")
        assert statement.sql == "SELECT CAST($1 AS uuid)::text, '12:mm'"

    def test_wants_every_parameter(self) -> None:
        """A forgotten one is a mistake of ours."""
        with pytest.raises(KeyError, match="b"):
            HotStatement("SELECT :a, :b").arguments({"a": 1})
