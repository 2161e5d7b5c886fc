"""What must hold of any bytes whatever: judged by the strict reader, request by request."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence

from gateway.tests.corpus.playing import PROBE, Stage
from gateway.tests.corpus.reading import Message, Violation, answers_in, requests_in

# Of the gateway's own refusals, and the recorder's only answer.
_EXPECTED = frozenset({200, 400, 401, 404, 405, 408, 413, 417, 431})
_AT_ONCE = 100

_Key = tuple[str, str, bytes | None]


class Trial:
    """Plays connections and says what did not hold.

    No answer but 200 and 4xx, none that cannot be read, an end to each connection; and nothing is
    forwarded, whole or in part, that a strict reader does not find in what was said.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._found: list[str] = []
        self._readable: Counter[_Key] = Counter()
        self._passed_back = 0
        self.answered: Counter[int] = Counter()

    async def play(self, connections: Sequence[tuple[bytes, ...]]) -> None:
        """Play *connections*, some at once."""
        for start in range(0, len(connections), _AT_ONCE):
            batch = connections[start : start + _AT_ONCE]
            await asyncio.gather(*(self._play((*pieces, PROBE)) for pieces in batch))

    def complaints(self) -> list[str]:
        """Return what did not hold; ask once, at the end."""
        return [*self._found, *self._stage.upstream.wrong, *self._smuggled()]

    async def _play(self, pieces: tuple[bytes, ...]) -> None:
        said = b"".join(pieces)
        for request in requests_in(said)[0]:
            self._readable[_key(request, whole=False)] += 1
            self._readable[_key(request, whole=True)] += request.complete
        try:
            answers = answers_in(await self._stage.say(pieces))
        except (TimeoutError, Violation) as error:
            self._found.append(f"{type(error).__name__} {error}: {said!r}")
            return
        statuses = [answer.status for answer in answers]
        self.answered.update(statuses)
        self._passed_back += sum(answer.body == b"ok" for answer in answers)
        if not statuses or not set(statuses) <= _EXPECTED:
            self._found.append(f"answered {statuses}: {said!r}")

    def _smuggled(self) -> Iterator[str]:
        seen = self._stage.upstream.taken()
        if sum(request.complete for request in seen) < self._passed_back:
            yield "more answers than requests"
        forwarded = Counter(_key(request, whole=request.complete) for request in seen)
        for key in forwarded - self._readable:
            yield f"forwarded, though nobody asked for it: {key}"


def _key(request: Message, *, whole: bool) -> _Key:
    # An empty query and none are the same to the gateway.
    target = request.target.removesuffix("?")
    return request.method, target, request.body if whole else None
