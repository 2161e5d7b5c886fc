"""Why an access token is refused: one public code but for expiry, one reason for the log."""

from chassis.errors import Unauthenticated


class InvalidToken(Unauthenticated):
    """The access token is not one of ours; `reason` is for the log, never for the sender."""

    code = "invalid_token"
    title = "The access token is not valid."

    def __init__(self, reason: str) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        self.reason = reason


class TokenExpired(InvalidToken):
    """The access token was ours and has run out: refresh it."""

    code = "token_expired"
    title = "The access token has expired."


class UnknownKey(InvalidToken):
    """The token names a key that is not in the set: the set may be older than the key."""

    def __init__(self, kid: str) -> None:
        super().__init__("unknown_key")
        self.kid = kid
