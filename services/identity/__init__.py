"""Identity: who somebody is, and whether the password is right.

Owns: accounts, password hashes, roles, verification and reset tokens, lockout counters, login
history.
Publishes: `identity.user.*`, `identity.login.*`, `identity.device.added`, `identity.password.*`,
`identity.verification.requested` (contracts/identity.py); orders the mails that carry a secret
from notify (contracts/commands.py).
Consumes: nothing. Answers token's internal calls `authenticate` and `subjects`.
Never: sends a mail, makes a session, signs a token.
"""
