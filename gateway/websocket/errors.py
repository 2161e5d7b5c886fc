"""What is refused of a handshake, by name; only routes of products have one."""

from http import HTTPStatus

from chassis.errors import BadRequest, Problem


class HandshakeInvalid(BadRequest):
    """It asks for a WebSocket connection without one key of 16 bytes (RFC 6455 §4.2.1)."""

    code = "websocket_handshake_invalid"
    title = "The handshake of the WebSocket connection is not valid."


class WebSocketVersion(Problem):
    """426: WebSocket connections of another version than 13 (RFC 6455 §4.4)."""

    status = HTTPStatus.UPGRADE_REQUIRED
    code = "websocket_version_unsupported"
    title = "WebSocket connections are of version 13 here."
