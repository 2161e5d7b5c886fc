"""The same password gets the same verdict at registration, change and reset (D5)."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from services.identity.hashing import PasswordHasher
from services.identity.tests.configuration import PASSWORD
from services.identity.tests.kit import Somebody, World

Door = Callable[[World, Somebody, str], Awaitable[httpx.Response]]


async def register(world: World, _ada: Somebody, password: str) -> httpx.Response:
    """Give the password to a new account."""
    body = {"email": "ada2@example.com", "username": "ada2", "password": password}
    return await world.post("/api/v1/auth/register", body)


async def change(world: World, ada: Somebody, password: str) -> httpx.Response:
    """Give it in place of the current one."""
    body = {"current_password": ada.password, "new_password": password}
    return await world.post("/api/v1/auth/password-change", body, principal=ada.principal())


async def reset(world: World, ada: Somebody, password: str) -> httpx.Response:
    """Give it by a mailed link."""
    body = {"token": await world.reset_token(ada.email), "new_password": password}
    return await world.post("/api/v1/auth/password-reset/verify", body)


DOORS: tuple[Door, ...] = (register, change, reset)
DOOR_NAMES = [door.__name__ for door in DOORS]


def codes(answer: httpx.Response) -> set[str]:
    """Return which rules a password broke."""
    return {error["code"] for error in answer.json().get("errors", [])}


@pytest.mark.parametrize(
    ("password", "broken"),
    [
        ("Sh0rt!", {"password_too_short"}),
        ("alllowercase-1", {"password_needs_uppercase"}),
        ("No-Number-Here", {"password_needs_number"}),
        ("NoSpecial1Here", {"password_needs_special"}),
        ("P@ssw0rd", {"password_common"}),
        ("Gatehouse2026!", {"password_contains_personal"}),
        (
            "weak",
            {
                "password_too_short",
                "password_needs_uppercase",
                "password_needs_number",
                "password_needs_special",
            },
        ),
        ("Zk9!" + "x" * 1021, {"password_too_long"}),
    ],
)
async def test_refused_alike(password: str, broken: set[str], world: World) -> None:
    """Every broken rule by its code, at every door."""
    ada = await world.register()
    answers = [await door(world, ada, password) for door in DOORS]
    assert [answer.status_code for answer in answers] == [400] * 3
    assert [codes(answer) & broken for answer in answers] == [broken] * 3
    assert codes(answers[0]) == codes(answers[1]) == codes(answers[2])


@pytest.mark.parametrize("door", DOORS, ids=DOOR_NAMES)
@pytest.mark.parametrize("length", [128, 1024])
async def test_long_ones_are_accepted(length: int, door: Door, world: World) -> None:
    """Code points, not bytes; every one of them counts at login."""
    ada = await world.register()
    password = "Zk9!" + "\u2603" * (length - 4)
    assert (await door(world, ada, password)).is_success
    name = "ada2" if door is register else "ada"
    wrong = await world.login(name, password[:-1])
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
    right = await world.login(name, password)
    assert right.json().get("code") in ({"email_not_verified"} if door is register else {None})


@pytest.mark.parametrize("door", DOORS, ids=DOOR_NAMES)
async def test_a_megabyte_is_refused_before_anything_is_hashed(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """413 without touching a hashing thread."""
    ada = await world.register()

    def refuse(*_: Any) -> None:
        raise AssertionError("a megabyte was hashed")

    monkeypatch.setattr(PasswordHasher, "hash", refuse)
    monkeypatch.setattr(PasswordHasher, "verify", refuse)
    answer = await door(world, ada, "A1!" + "x" * 1_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_a_long_password_at_login_costs_one_ordinary_hash(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing longer than 1024 code points is ever given to the hash, and it never matches."""
    await world.register()
    given: list[int] = []
    original = PasswordHasher.verify

    def spy(hasher: PasswordHasher, stored: str, password: str) -> Any:
        given.append(len(password))
        return original(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", spy)
    answer = await world.login("ada", PASSWORD + "x" * 20_000)
    assert (answer.status_code, given) == (401, [1024])
