"""HTTP/1.1 as a client: what the gateway's hop and the calls between services are made of.

The parser is httptools; what it lets pass and is not certain is refused (RFC 9112 §6). Who calls
bounds the time, says what is sent again, and how much of an answer it takes.
"""
