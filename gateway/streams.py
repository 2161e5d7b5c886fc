"""Answers that last, and end with the token they were asked for with (D12).

A token is judged when a request begins. An answer that goes on, such as server-sent events, would
outlive a logout; so those that last are known by the `kid`, `sid`, `sub` and `jti` of their token.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from chassis.clock import Clock
from chassis.jwt import MAX_LEEWAY, AccessToken, TokenExpired
from chassis.metrics import Metrics
from gateway.denylist import DenyList
from gateway.errors import TokenStale
from gateway.proxy.body import Leash
from gateway.tokens import names_of

LASTING_SECONDS = 1.0
"""From then on an answer is known here; most have ended long before."""

End = Callable[[str], None]


@dataclass(slots=True, eq=False)
class _Stream:
    """An open answer; *end* is told why it ends, *timer* waits for what comes next."""

    token: AccessToken
    end: End
    timer: asyncio.TimerHandle | None = None
    known: bool = False


class OpenStreams:
    """Ends open answers; *is_trusted* says whether a key (`kid`) still verifies tokens."""

    def __init__(
        self,
        clock: Clock,
        denylist: DenyList,
        metrics: Metrics,
        *,
        is_trusted: Callable[[str], bool],
    ) -> None:
        self._clock = clock
        self._denylist = denylist
        self._is_trusted = is_trusted
        self._by_name: dict[str, set[_Stream]] = defaultdict(set)
        self._open = 0
        Gauge(
            "gatehouse_gateway_open_streams",
            "Answers to holders of a token that have lasted more than a second.",
            registry=metrics.registry,
        ).set_function(lambda: self._open)
        self._ended = Counter(
            "gatehouse_gateway_streams_ended",
            "Answers that broke off because their token died.",
            ["reason"],
            registry=metrics.registry,
        )

    def __len__(self) -> int:
        return self._open

    def holding(
        self, token: AccessToken | None, end: End, *, leash: Leash
    ) -> AbstractContextManager[None]:
        """Call *end* if *token* dies while the block runs; None never does.

        *leash* is that of the exchange: it tells when that lasts.
        """
        return nullcontext() if token is None else _Held(self, _Stream(token, end), leash)

    def begin(self, stream: _Stream) -> None:
        """Know *stream* from now on, and judge it."""
        for name in names_of(stream.token):
            self._by_name[name].add(stream)
        stream.known = True
        self._open += 1
        self._judge_until_expired(stream)

    def forget(self, stream: _Stream) -> None:
        """Know *stream* no more, if it ever was known."""
        if stream.timer is not None:
            stream.timer.cancel()
        if not stream.known:
            return
        stream.known = False
        self._open -= 1
        for name in names_of(stream.token):
            streams = self._by_name[name]
            streams.discard(stream)
            if not streams:
                del self._by_name[name]

    def recheck(self, kind: str, value: str) -> None:
        """Look again at answers whose `kid`, `sid`, `sub` or `jti` (*kind*) is *value*."""
        for stream in tuple(self._by_name.get(f"{kind}:{value}", ())):
            self._judge(stream)

    def _judge_until_expired(self, stream: _Stream) -> None:
        """Judge now and when the token has expired, with the leeway it had for a request.

        The timer may come a moment before the clock says so.
        """
        self._judge(stream)
        if stream.known:
            left = (stream.token.exp + MAX_LEEWAY - self._clock.now()).total_seconds()
            loop = asyncio.get_running_loop()
            stream.timer = loop.call_later(max(left, 0.0), self._judge_until_expired, stream)

    def _judge(self, stream: _Stream) -> None:
        reason = self._why_dead(stream.token)
        if reason is not None:
            self._ended.labels(reason).inc()
            self.forget(stream)
            stream.end(reason)

    def _why_dead(self, token: AccessToken) -> str | None:
        if token.exp + MAX_LEEWAY <= self._clock.now():
            return TokenExpired.code
        if not self._is_trusted(token.kid):
            return TokenStale.code
        refusal = self._denylist.refusal(token)
        return refusal.code if refusal else None


class _Held(AbstractContextManager[None]):
    """Has a stream known when it lasts, until its block is left."""

    def __init__(self, streams: OpenStreams, stream: _Stream, leash: Leash) -> None:
        self._streams = streams
        self._stream = stream
        self._leash = leash
        self._left = False

    def __enter__(self) -> None:
        self._leash.once_it_lasts(self._wait)

    def __exit__(self, *_: object) -> None:
        self._left = True
        self._streams.forget(self._stream)

    def _wait(self) -> None:
        if not self._left:
            loop = asyncio.get_running_loop()
            begin, stream = self._streams.begin, self._stream
            stream.timer = loop.call_later(LASTING_SECONDS, begin, stream)
