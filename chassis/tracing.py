"""W3C Trace Context: every hop passes the trace on, and log lines join on its id."""

import re
from dataclasses import dataclass
from os import urandom  # what `secrets` asks, without its three calls around it

# https://www.w3.org/TR/trace-context/#traceparent-header, version 00
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(slots=True)  # not frozen: one is made for each request
class TraceContext:
    """One hop of a trace."""

    trace_id: str
    span_id: str
    flags: str = "01"

    def __str__(self) -> str:
        """Return the `traceparent` header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def continue_trace(traceparent: str | None) -> TraceContext:
    """Return a new span of the caller's trace, or of a new one when the header is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        fresh = urandom(24).hex()  # asked for once: it is a call into the kernel
        return TraceContext(fresh[:32], fresh[32:])
    return TraceContext(match[1], urandom(8).hex(), match[3])
