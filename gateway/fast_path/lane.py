"""The fast path itself: what is done with a request that may take it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from chassis.http1.connection import Connection
from chassis.metrics import Metrics
from chassis.middleware import record
from gateway.edge import Parts
from gateway.fast_path.admission import Admission
from gateway.fast_path.admitted import ADMITTED
from gateway.fast_path.answer import Answer
from gateway.fast_path.exchange import Client, Exchange, Lane
from gateway.fast_path.gathered import GatheredWrites
from gateway.fast_path.head import read_head
from gateway.fast_path.outcomes import Outcomes
from gateway.fast_path.writing import AnswerWriter
from gateway.limits.limiter import Decision, Demand
from gateway.limits.waiter import Waiter

PATIENCE_SECONDS: Final = 0.05
"""What has no answer by then goes slow: there it has its timeouts."""


class FastPath(Lane):
    """Serves what it can of a client's requests."""

    def __init__(self, parts: Parts, admission: Admission) -> None:
        self.gathered = GatheredWrites()
        self._admission = admission
        self._writer = AnswerWriter(vary=parts.origins.vary)
        self._metrics: Metrics = parts.metrics
        self._changes = parts.changes
        self._under_way: dict[Exchange, None] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._outcomes = Outcomes()
        parts.metrics.registry.register(self._outcomes)

    def take(self, client: Client, data: bytes) -> bool:
        """Serve the request that *data* is, or say that it is not for the fast path."""
        head = read_head(data)
        admitted = self._admission.admit(head, client.peer) if head is not None else None
        if admitted is None:
            return False
        exchange = Exchange(admitted, client, self)
        if not admitted.plan.route.limits:
            self._begin(exchange)
            return True
        demands = admitted.demands
        decision = self._admission.decide(admitted, demands)
        if decision is None:
            client.hold(exchange)
            self._ask(exchange, demands)
        elif decision.allowed:
            admitted.decision = decision
            self._begin(exchange)
        else:
            self._admission.give_back(admitted)
            return False
        return True

    def _ask(self, exchange: Exchange, demands: Sequence[Demand]) -> None:
        asking = _Asking(self, exchange)
        try:
            self._admission.ask(exchange.admitted, demands, asking)
        except Exception as error:  # noqa: BLE001 - the slow path meets it too, and says so
            asking.fail(error)

    def decided(self, exchange: Exchange, decision: Decision | None) -> None:
        """Begin what is allowed; all else has cost nothing, and the slow path judges once more."""
        if decision is not None and decision.allowed:
            exchange.admitted.decision = decision
            self._begin(exchange)
            return
        self._admission.give_back(exchange.admitted)
        exchange.response_complete = True
        exchange.client.serve(_scope(exchange), exchange)

    def _begin(self, exchange: Exchange) -> None:
        """Ask the upstream, over a kept connection where it is free to be asked at once."""
        admitted = exchange.admitted
        exchange.client.hold(exchange)
        self._changes.note(admitted.caller.address)
        self._metrics.in_flight += 1
        begun = admitted.begun = admitted.plan.entrance.begin()
        if begun is None or begun.connection is None:
            exchange.leave()
            return
        self._under_way[exchange] = None
        if self._sweeping is None:
            self._sweep_later()
        exchange.ask(begun, begun.connection)

    def finish(self, exchange: Exchange, connection: Connection, answer: Answer) -> bool:
        """Give the answer that is there as a whole; False when it wants a second look."""
        admitted, begun = exchange.admitted, exchange.admitted.begun
        data = self._writer.write(answer, admitted, exchange.client.common_headers)
        if data is None or begun is None:
            return False
        del self._under_way[exchange]
        connection.taken()
        admitted.plan.entrance.end(begun, connection, answer.status)
        self._admission.give_back(admitted)
        self._metrics.in_flight -= 1
        self._outcomes.answered += 1
        exchange.response_complete = True
        exchange.client.finish(data)
        record(self._metrics, admitted.state, "GET", admitted.plan.route.path, answer.status)
        return True

    def go_slow(self, exchange: Exchange) -> None:
        """Let the app go on with what was admitted, from where it is."""
        self._under_way.pop(exchange, None)
        self._outcomes.went_slow += 1
        self._metrics.in_flight -= 1
        scope = _scope(exchange)
        scope[ADMITTED] = exchange.admitted
        scope["gatehouse"] = exchange.admitted.state
        scope["route"] = exchange.admitted.plan.route
        exchange.client.serve(scope, exchange)

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(PATIENCE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Let go slow what has no answer yet; the longest under way come first."""
        self._sweeping = None
        long_ago = time.perf_counter() - PATIENCE_SECONDS
        for exchange in tuple(self._under_way):
            if exchange.admitted.state.began > long_ago:
                break
            exchange.leave()
        if self._under_way:
            self._sweep_later()


class _Asking(Waiter[Decision]):
    """Waits for what is decided about an exchange, whose client may go away meanwhile."""

    __slots__ = ("_exchange", "_fast_path", "_told")

    def __init__(self, fast_path: FastPath, exchange: Exchange) -> None:
        self._fast_path = fast_path
        self._exchange = exchange
        self._told = False

    @property
    def gone(self) -> bool:
        return self._told

    def tell(self, answer: Decision) -> None:
        if not self._told:
            self._told = True
            self._fast_path.decided(self._exchange, answer)

    def fail(self, error: Exception) -> None:  # noqa: ARG002 - the slow path meets it too
        if not self._told:
            self._told = True
            self._fast_path.decided(self._exchange, None)


def _scope(exchange: Exchange) -> dict[str, Any]:
    """Return what the app is told of the request, as the parser would have told it."""
    head = exchange.admitted.head
    return exchange.client.scope_of(head.path, head.query, head.fields())
