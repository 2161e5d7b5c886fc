"""How our services have the gateway report a refusal of theirs (`gateway.request.denied.v1`).

For what a service could tell of nobody, and a stranger could ask for without end: the gateway
counts by client and minute. The header never reaches a client.
"""

REPORT_HEADER = "gatehouse-report"
"""In a refusal: the reason to be reported."""

UNKNOWN_REFRESH_TOKEN = "invalid_refresh_token"
FOREIGN_SESSION = "foreign_session"
"""A session id that is none of the caller's own."""

REASONS = frozenset({UNKNOWN_REFRESH_TOKEN, FOREIGN_SESSION})
