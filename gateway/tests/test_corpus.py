"""The corpus: whatever comes, the answer is 4xx and a closed connection, or an honest 200."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import gateway.protocol
import gateway.proxy.body
from chassis.testing import eventually
from gateway.tests.corpus import exchanges, fields, framing, lines, targets
from gateway.tests.corpus.case import Case
from gateway.tests.corpus.judging import Trial
from gateway.tests.corpus.mutations import mutations
from gateway.tests.corpus.playing import stage

pytestmark = pytest.mark.slow

FAMILIES = {
    "lengths": framing.LENGTHS,
    "codings": framing.CODINGS,
    "chunks": framing.CHUNKS,
    "hosts": framing.HOSTS,
    "targets": targets.TARGETS,
    "fields": fields.FIELDS,
    "methods": lines.METHODS,
    "versions": lines.VERSIONS,
    "garbage": lines.GARBAGE,
    "pipelines": exchanges.PIPELINES,
    "expectations": exchanges.EXPECTATIONS,
    "upgrades": exchanges.UPGRADES,
    "silences": exchanges.SILENCES,
}


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a client no longer than a test may."""
    monkeypatch.setattr(gateway.protocol, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(gateway.proxy.body, "_IDLE_SECONDS", 0.5)


@pytest.mark.usefixtures("_impatient")
class TestCorpus:
    """Requests nobody honest sends, and some that look like them."""

    @pytest.mark.parametrize("family", FAMILIES)
    async def test_is_answered_as_written(self, tmp_path: Path, family: str) -> None:
        """Statuses, what the upstream sees, and whether the connection goes on."""
        cases: Sequence[Case] = FAMILIES[family]
        async with stage(tmp_path) as played:
            assert await played.complaints(cases) == []
            assert await played.is_well()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_has_a_name_for_each_case(self, family: str) -> None:
        """A complaint leads to one place."""
        names = [case.name for case in FAMILIES[family]]
        assert len(set(names)) == len(names)


@pytest.mark.usefixtures("_impatient")
class TestMutations:
    """Honest requests and hostile ones, changed at random."""

    @pytest.mark.parametrize("seed", [1, 2, 3])
    async def test_are_read_in_one_way_or_refused(self, tmp_path: Path, seed: int) -> None:
        """A thousand connections of up to three requests each."""
        async with stage(tmp_path) as played:
            trial = Trial(played)
            await trial.play(list(mutations(1000, seed=seed)))
            assert trial.complaints() == []
            assert trial.answered.keys() >= {200, 400, 401, 404, 405}
            assert await played.is_well()


class TestLeaving:
    """Clients that are gone in the middle, wherever that is."""

    REQUEST = (
        b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n"
    )

    @pytest.mark.parametrize("how", ["close", "half", "reset"])
    async def test_leave_nothing_behind(self, tmp_path: Path, how: str) -> None:
        """No request that looks whole, no place taken, and the next client is served."""
        async with stage(tmp_path) as played:
            for count in range(len(self.REQUEST)):
                await played.leave(self.REQUEST[:count], how)
            assert await played.is_well()
            await eventually(lambda: played.open_requests() == 0)
            assert [message for message in played.upstream.taken() if message.complete] == []
            assert played.upstream.wrong == []
