"""Token: who is logged in, for how long, and what proves it.

Owns: sessions, refresh tokens, subjects (what it knows of each user), revocations, signing keys.
Publishes: token.session.started and .ended, token.token.refreshed, .revoked,
token.refresh.failed, token.refresh_token.reused, token.client.authentication_failed,
token.signing_key.rotated, .rotation_requested and .revoked.
Consumes: identity.password.* and identity.user.* that end sessions or change roles, over AMQP and
pushed over HTTP.
Never: sees a password hash, stores a readable token, or signs for a subject it knows to be barred.
"""
