"""Login: what a session needs, and what keeps it from starting."""

from services.token.tests.kit import World


class TestLogin:
    """POST /api/v1/auth/login."""

    async def test_good_credentials_give_a_session_and_its_tokens(self, world: World) -> None:
        """The answer has every field a client needs, and the access token verifies."""
        account = world.identity.register(roles=("user", "moderator"))

        answer = await world.client.login()

        token = await world.verify(answer["access_token"])
        assert answer["token_type"] == "Bearer"
        assert (answer["expires_in"], answer["refresh_expires_in"]) == (900, 7 * 86400)
        assert answer["device_token"] == f"device-{account.user_id}"
        assert (token.sub, str(token.sid)) == (account.user_id, answer["session_id"])
        assert token.roles == {"user", "moderator"}
        assert (token.ver, token.amr) == (1, ("pwd",))
