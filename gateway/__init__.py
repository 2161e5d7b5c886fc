"""The edge: every request of the world passes here, is judged once, and is passed on.

Owns: no data. In memory, and always rebuildable: the deny list, the blocked networks, the key set,
the cache of verified tokens, the counters of limits while Redis is away.
Publishes: gateway.request.denied, best effort, without an outbox.
Consumes: token.session.ended, token.token.revoked, token.signing_key.rotated and .revoked,
audit.ip.blocked and .unblocked, on queues of its own that die with it; polling token and audit
makes the same facts certain.
Never: touches a database, buffers a body, forwards a path other than the one it authorised, passes
on a header that says who the caller is unless it wrote it itself, lets a token into the body of an
answer in browser mode.
"""
