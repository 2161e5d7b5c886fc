"""A Redis that is there already, named by the environment."""

import socket
from urllib.parse import urlsplit

from chassis.testing.servers.sources import ForeignServerError, ServerMissingError

URL_VARIABLE = "GATEHOUSE_TEST_REDIS_URL"

_ANSWER_SECONDS = 2.0


class GivenRedis:
    """The server that the environment names: used, never controlled or emptied."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Check that somebody listens there."""
        parts = urlsplit(self.url)
        try:
            address = (parts.hostname or "127.0.0.1", parts.port or 6379)
            socket.create_connection(address, timeout=_ANSWER_SECONDS).close()
        except OSError:
            raise ServerMissingError(f"{URL_VARIABLE} is set, but no Redis answers there") from None

    def stop(self) -> None:
        """Do nothing: it is not ours."""

    def kill(self) -> None:
        """Refuse."""
        raise ForeignServerError(
            f"the server of {URL_VARIABLE} is not ours: unset it for fault tests"
        )

    def restart(self) -> None:
        """Refuse."""
        self.kill()

    def freeze(self) -> None:
        """Refuse."""
        self.kill()

    def thaw(self) -> None:
        """Do nothing: it was never frozen."""

    def flush(self) -> None:
        """Do nothing: what is in it may be somebody's."""
