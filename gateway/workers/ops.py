"""What operators ask of several workers as if they were one process: health and metrics."""

import asyncio
import json
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
    """Build the app of the ops port; *registry* has what the parent itself counts.

    Live while every worker that runs answers: one whose loop stands still is found out here, as it
    would be without a parent. Ready when all run and all are.
    """

    async def live(_request: Request) -> Response:
        answers = await _ask(crew, "live")
        mute = [name for name, worker in _running(crew).items() if answers.get(name) is None]
        if mute:
            return respond({"status": "not live", "failing": mute}, HTTPStatus.SERVICE_UNAVAILABLE)
        return respond({"status": "live"})

    async def ready(_request: Request) -> Response:
        failing = ["draining"] if crew.draining else await _failing(crew)
        status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
        return respond({"status": "not ready" if failing else "ready", "failing": failing}, status)

    async def exposition(_request: Request) -> Response:
        answers = await _ask(crew, "metrics")
        texts = {name: body.decode() for name, body in answers.items() if body is not None}
        body = generate_latest(registry) + generate_latest(Joined(texts))
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/metrics", exposition),
        ]
    )


async def _failing(crew: Crew) -> list[str]:
    """Return what is missing, each with the worker it is missing to."""
    answers = await _ask(crew, "health")
    failing = []
    for index in range(len(crew.workers)):
        body = answers.get(str(index))
        if body is None:
            failing.append(f"worker {index}")
        else:
            failing += [f"worker {index}: {name}" for name in json.loads(body)]
    return failing


async def _ask(crew: Crew, question: Question) -> dict[str, bytes | None]:
    """Ask all at once; None is no answer."""
    running = _running(crew)
    answers = await asyncio.gather(*(_asked(worker, question) for worker in running.values()))
    return dict(zip(running, answers, strict=True))


async def _asked(worker: Worker, question: Question) -> bytes | None:
    try:
        return await worker.ask(question)
    except Unanswered:
        return None


def _running(crew: Crew) -> dict[str, Worker]:
    return {str(index): worker for index, worker in enumerate(crew.workers) if worker is not None}
