"""A circuit breaker: an address that fails is left alone for a moment, then tried by one request.

What counts as failing is the caller's to say; here only how often, and what follows.
"""

from collections.abc import Callable

from gateway.routing.table import Thresholds

_WINDOW_SECONDS = 10.0
_ENOUGH_TO_JUDGE = 20


Passage = int
"""The leave to send one request: in which epoch it was given; of older ones nothing is news."""


class Breaker:
    """Closed: all pass. Open: nobody, but for one probe after each pause; its answer closes.

    It opens after `failures` in a row without an answer, or when of at least 20 requests within
    10 s the share `ratio` failed. A probe that does not come back holds up nobody: the next may
    go after another pause. *now* is monotonic, in seconds; *on_change* is told "open" or not.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        *,
        now: Callable[[], float],
        on_change: Callable[[bool], None],
    ) -> None:
        self._thresholds = thresholds
        self._now = now
        self._on_change = on_change
        self._epoch = 0
        self._next_probe = 0.0
        self.open = False
        self._begin_counting()

    def may_pass(self) -> bool:
        """Say whether `enter` would give leave now."""
        return not self.open or self._now() >= self._next_probe

    def enter(self) -> Passage | None:
        """Give leave to send a request, or None while the address is left alone."""
        if not self.open:
            return self._epoch
        if self._now() < self._next_probe:
            return None
        self._pause()
        return self._epoch

    def answered(self, passage: Passage) -> None:
        """Take note of an answer."""
        if passage != self._epoch:
            return
        if self.open:
            self._change(opened=False)
            return
        self._in_a_row = 0
        self._count(failed=False)

    def overloaded(self, passage: Passage) -> None:
        """Take note of an answer that says the upstream cannot work: alive, but failing."""
        if passage != self._epoch:
            return
        self._in_a_row = 0
        self._judge()

    def failed(self, passage: Passage) -> None:
        """Take note that no answer came."""
        if passage != self._epoch:
            return
        self._in_a_row += 1
        self._judge()

    def _judge(self) -> None:
        """Count a failure; open when there were too many, or go on waiting after a probe's."""
        if self.open:
            self._pause()
            return
        self._count(failed=True)
        judged = self._total >= _ENOUGH_TO_JUDGE
        share_failed = judged and self._failures >= self._thresholds.ratio * self._total
        if share_failed or self._in_a_row >= self._thresholds.failures:
            self._change(opened=True)
            self._pause()

    def _count(self, *, failed: bool) -> None:
        if self._now() - self._counting_since >= _WINDOW_SECONDS:
            self._begin_counting(in_a_row=self._in_a_row)
        self._total += 1
        self._failures += failed

    def _begin_counting(self, in_a_row: int = 0) -> None:
        self._counting_since = self._now()
        self._in_a_row = in_a_row
        self._total = self._failures = 0

    def _change(self, *, opened: bool) -> None:
        self.open = opened
        self._epoch += 1
        self._begin_counting()
        self._on_change(opened)

    def _pause(self) -> None:
        self._next_probe = self._now() + self._thresholds.pause
