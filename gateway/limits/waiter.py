"""Who waits for an answer: told by a call, for a task and a future each would cost more than it."""

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

T = TypeVar("T")


class Waiter(ABC, Generic[T]):
    """Waits for one answer, and is told it, or why there is none: at once or later, on the loop.

    It heeds what it is told first. What it does then must not raise: others are told after it.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def gone(self) -> bool:
        """Say whether nobody wants the answer any more; who is gone need not be asked for."""

    @abstractmethod
    def tell(self, answer: T) -> None:
        """Take the answer."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Take why there is none."""


class Awaited(Waiter[T]):
    """Whoever awaits `future`; he is gone when he is cancelled."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    @property
    def gone(self) -> bool:
        """Say whether he has been told, or was cancelled."""
        return self.future.done()

    def tell(self, answer: T) -> None:
        """Let him go on."""
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Raise *error* where he waits."""
        if not self.future.done():
            self.future.set_exception(error)
