"""Every row of the token checklist, J-01 to J-17, has tests that carry its name."""

import ast
from collections.abc import Iterator
from pathlib import Path

from chassis.tests.hostile import Forge, attacks
from chassis.tests.jwt_kit import EC_KEY, claims

ROOT = Path(__file__).resolve().parent.parent
ROWS = {f"J-{number:02}" for number in range(1, 18)}
MODULES = (
    "chassis/tests/test_jwt.py",
    "chassis/tests/test_jwt_rows.py",
    "services/token/tests/test_jwt_rows.py",
    "gateway/tests/test_jwt_rows.py",
)


def named() -> Iterator[tuple[str, str]]:
    """Give the row and the module of every test class that is named after one."""
    for module in MODULES:
        tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("TestJ"):
                yield f"J-{node.name[5:7]}", module


class TestRows:
    """The list and the tests say the same."""

    def test_each_has_tests_of_its_name(self) -> None:
        """A class, or attacks that the verifier and the gateway both meet."""
        forge = Forge(private=EC_KEY, kid="key-ES256", claims=claims())
        attacked = {attack.row for attack in attacks(forge)}

        assert {row for row, _ in named()} | attacked >= ROWS

    def test_none_is_named_that_does_not_exist(self) -> None:
        """A mistyped row would count for nothing."""
        assert {row for row, _ in named()} <= ROWS

    def test_what_only_a_running_service_shows_is_shown_there(self) -> None:
        """Rotation, key sets, redirects and revocation are no matter of the verifier alone."""
        where = {(row, module.split("/")[0]) for row, module in named()}

        assert {("J-10", "services"), ("J-16", "services"), ("J-17", "services")} <= where
        assert {("J-04", "gateway"), ("J-14", "gateway"), ("J-17", "gateway")} <= where
