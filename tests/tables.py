"""Tables of promises in docs/: their rows, and whether what they name is there."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of each promise on *page*, in every table whose first column is one."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ") and not line.startswith("| Promise ")
    ]


def named(cell: str) -> list[str]:
    """Return what stands between backticks in *cell*."""
    return re.findall(r"`([^`]+)`", cell)


def missing(cell: str) -> list[str]:
    """Return what *cell* names that is not in the repository: files, folders, `file::test`s."""
    return [name for name in named(cell) if not _is_there(name)]


def _is_there(name: str) -> bool:
    path, _, test = name.partition("::")
    return (ROOT / path).exists() and (not test or test in _tests_of(ROOT / path))


@cache
def _tests_of(path: Path) -> frozenset[str]:
    """Return what pytest collects of a file: functions, and methods as `Class::function`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            names |= {f"{node.name}::{m.name}" for m in node.body if isinstance(m, functions)}
    return frozenset(name for name in names if name.split("::")[-1].startswith("test_"))
