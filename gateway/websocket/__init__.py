"""WebSocket connections to products (RFC 6455): a handshake that is judged, then a tunnel.

`handshake` knows what a client must ask and an upstream answer, `client` and `upstream` are the two
ends of a tunnel, `tunnel` carries the bytes between them, `forwarding` does it all for one request.
No frame is read here: what passes is between the two ends.
"""
