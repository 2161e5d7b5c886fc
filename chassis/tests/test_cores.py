"""How many cores a process may use."""

from pathlib import Path

from chassis.cores import available_cores


class TestCores:
    """How many cores there are to use."""

    def test_follow_the_cgroup_quota(self, tmp_path: Path) -> None:
        """A container with half a core has one, with 2.5 has at most two."""
        limit = tmp_path / "cpu.max"
        limit.write_text("50000 100000\n")
        assert available_cores(cgroup=tmp_path) == 1
        limit.write_text("250000 100000\n")
        assert available_cores(cgroup=tmp_path) <= 2

    def test_follow_the_affinity_without_a_quota(self, tmp_path: Path) -> None:
        """No limit means every core this process may run on."""
        (tmp_path / "cpu.max").write_text("max 100000\n")
        assert available_cores(cgroup=tmp_path) == available_cores(cgroup=tmp_path / "none") >= 1
