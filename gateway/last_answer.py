"""The last answer of a connection, written past uvicorn: nothing there could be served."""

from uuid import uuid4

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from chassis.errors import Problem
from chassis.http import problem_response
from chassis.logs import get_logger
from chassis.middleware import SECURITY_HEADERS

log = get_logger(__name__)


def last_answer(problem: Problem) -> Response:
    """Return *problem* as the last answer of a connection."""
    request_id = uuid4().hex
    response = problem_response(problem, request_id=request_id)
    log.warning("request.unreadable", reason=problem.code, request_id=request_id)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = request_id
    response.headers["Connection"] = "close"
    return response


def on_the_wire(response: Response) -> bytes:
    """Return *response* as it stands on the wire."""
    lines = [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
    head = STATUS_LINE[response.status_code] + b"".join(lines) + b"\r\n"
    return head + bytes(response.body)
