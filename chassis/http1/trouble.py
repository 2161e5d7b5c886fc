"""What can go wrong with a server, as the connection to it sees it.

What others are told of it is for the caller to decide. That a server is silent for too long is a
TimeoutError.
"""


class Trouble(Exception):  # noqa: N818 - what it is; its subclasses say which
    """Something is wrong with the connection or with what came over it."""


class CannotConnect(Trouble):
    """There is no such name, nobody listens there, or TLS does not hold."""


class ConnectTimedOut(TimeoutError):  # noqa: N818 - as Trouble
    """Name, TCP and TLS took longer than `connect_timeout`."""


class HungUp(Trouble):
    """The connection ended before the answer did.

    *stale* says that it had served before and not a word of this answer had come: the server
    may have closed it before it saw the request.
    """

    def __init__(self, *, stale: bool = False) -> None:
        super().__init__("hung up")
        self.stale = stale


class Garbled(Trouble):
    """What came is no answer, or one that two readers would cut at different places."""
