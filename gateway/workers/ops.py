"""What operators ask of several workers as if they were one process: health and metrics."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from chassis.http import respond
from gateway.workers.channel import Question, Unanswered
from gateway.workers.crew import Crew
from gateway.workers.exposition import Joined
from gateway.workers.worker import Worker


def ops_of(crew: Crew, registry: CollectorRegistry) -> ASGIApp:
    """Build the app of the ops port; *registry* has what the parent itself counts."""
    asked = _Asked(crew, registry)
    return Starlette(
        routes=[
            Route("/health/live", asked.live),
            Route("/health/ready", asked.ready),
            Route("/metrics", asked.exposition),
        ]
    )


class _Asked:
    """The endpoints."""

    def __init__(self, crew: Crew, registry: CollectorRegistry) -> None:
        self._crew = crew
        self._registry = registry

    async def live(self, _request: Request) -> Response:
        """Say yes while every worker answers that has answered before.

        One whose loop stands still is found out here, as it would be without a parent.
        """
        running = _running(self._crew)
        answers = await _ask(running, "live")
        silent = {name: running[name] for name, body in answers.items() if body is None}
        mute = [name for name, worker in silent.items() if worker in self._crew.answering]
        if mute:
            return respond({"status": "not live", "failing": mute}, HTTPStatus.SERVICE_UNAVAILABLE)
        return respond({"status": "live"})

    async def ready(self, _request: Request) -> Response:
        """Say yes when all workers run and all are ready."""
        failing = ["draining"] if self._crew.draining else await _failing(self._crew)
        status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
        return respond({"status": "not ready" if failing else "ready", "failing": failing}, status)

    async def exposition(self, _request: Request) -> Response:
        """Return the metrics of all workers, and of the parent."""
        answers = await _ask(_running(self._crew), "metrics")
        texts = {name: body.decode() for name, body in answers.items() if body is not None}
        body = generate_latest(self._registry) + generate_latest(Joined(texts))
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _failing(crew: Crew) -> list[str]:
    """Return what is missing, each with the worker it is missing to."""
    answers = await _ask(_running(crew), "health")
    failing = []
    for index in range(len(crew.workers)):
        body = answers.get(str(index))
        if body is None:
            failing.append(f"worker {index}")
        else:
            failing += [f"worker {index}: {name}" for name in json.loads(body)]
    return failing


async def _ask(running: Mapping[str, Worker], question: Question) -> dict[str, bytes | None]:
    """Ask all at once; None is no answer."""
    answers = await asyncio.gather(*(_asked(worker, question) for worker in running.values()))
    return dict(zip(running, answers, strict=True))


async def _asked(worker: Worker, question: Question) -> bytes | None:
    try:
        return await worker.ask(question)
    except Unanswered:
        return None


def _running(crew: Crew) -> dict[str, Worker]:
    return {str(index): worker for index, worker in enumerate(crew.workers) if worker is not None}
