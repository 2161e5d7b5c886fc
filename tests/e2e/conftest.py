"""The same journeys against both shapes of the platform."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.platforms.five import FiveProcesses
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.single import SingleProcess


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("one process", marks=pytest.mark.slow),
        pytest.param("five processes", marks=pytest.mark.real),
    ],
)
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Start the platform once per shape, with all limits at their defaults."""
    folder = tmp_path_factory.mktemp("platform")
    if request.param == "one process":
        running: Platform = SingleProcess(folder)
    else:
        running = FiveProcesses(folder, request.getfixturevalue("parts"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def person(platform: Platform) -> AsyncIterator[Person]:
    """Return somebody new, from an address of their own."""
    async with platform.person() as somebody:
        yield somebody


@pytest.fixture
async def somebody(platform: Platform) -> AsyncIterator[Callable[[], Person]]:
    """Return a function that brings as many people as a test wants."""
    async with AsyncExitStack() as stack:

        def arrive() -> Person:
            person = platform.person()
            stack.push_async_exit(person)
            return person

        yield arrive


@pytest.fixture
async def admin(platform: Platform) -> AsyncIterator[Person]:
    """Return the bootstrap administrator, logged in."""
    async with platform.admin() as administrator:
        yield administrator
