"""docs/promises.md stays true: what it names exists."""

import pytest

from tests.tables import ROOT, missing, named, rows_of

ROWS = rows_of((ROOT / "docs" / "promises.md").read_text(encoding="utf-8"))


class TestRows:
    """Each promise leads somewhere."""

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:70])
    def test_has_a_file_and_a_test(self, row: list[str]) -> None:
        """And all of them are there; a bench may stand beside a test, not in place of one."""
        promise, files, shown = row

        assert promise
        assert named(files)
        assert missing(files) == []
        assert missing(shown) == []
        assert [name for name in named(shown) if "::" in name]
        assert {name.split("/")[0] for name in named(shown) if "::" not in name} <= {"bench"}

    def test_no_promise_stands_twice(self) -> None:
        """One line each."""
        promises = [row[0] for row in ROWS]

        assert len(promises) == len(set(promises))
