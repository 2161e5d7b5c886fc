"""Smoke."""

from services.identity.tests.kit import *


async def test_journey(world: World) -> None:
    ada = await world.register()
    a = await world.login("ada", PASSWORD)
    assert a.status_code == 200, a.text
    a = await world.login("ADA@example.com", "wrong")
    assert a.status_code == 401, a.text
    a = await world.login("nobody", "wrong")
    assert a.status_code == 401, a.text
    t = await world.reset_token(ada.email)
    a = await world.post(
        "/api/v1/auth/password-reset/verify", {"token": t, "new_password": NEW_PASSWORD}
    )
    assert a.status_code == 200, a.text
    a = await world.call("GET", "/api/v1/users/me", principal=ada.principal())
    assert a.status_code == 200, a.text
    print(a.text)
