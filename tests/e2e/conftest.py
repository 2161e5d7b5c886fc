"""The same journeys against both shapes of the platform."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.platforms.access import RELAXED, tokens_of_callers
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


@pytest.fixture(scope="session")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Start a platform in one process whose limits nobody reaches."""
    running = SingleProcess(tmp_path_factory.mktemp("relaxed"), RELAXED)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def tokens(relaxed: Platform) -> dict[str, str | None]:
    """Give an access token of each caller of the access table."""
    return asyncio.run(tokens_of_callers(relaxed))


@pytest.fixture(scope="session")
def client(relaxed: Platform) -> Iterator[httpx.Client]:
    """Give a client of the relaxed platform."""
    with httpx.Client(base_url=relaxed.base_url, timeout=30) as opened:
        yield opened


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
