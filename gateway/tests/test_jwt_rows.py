"""The checklist's rows on tokens as they are met at the gateway, on a real port."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from chassis.testing import eventually
from chassis.tests.hostile import Forge, attacks
from gateway.tests.signing import SigningKey, Subject, access_token
from gateway.tests.upstreams import TokenService
from gateway.tests.world import Answer, World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

ME = "/api/v1/users/me"
KEY = SigningKey("first")


@pytest.fixture
def token() -> TokenService:
    """Give a token service that publishes the key the attacks are signed with."""
    return TokenService(keys=[KEY])


def forge(**claims: Any) -> Forge:
    """Return a forge of tokens that are good for some minutes from now."""
    good = access_token(KEY, Subject(), **claims)
    payload = jwt.decode(good, options={"verify_signature": False})
    return Forge(private=KEY.private, kid=KEY.kid, claims=payload)


def seen(answer: Answer) -> tuple[object, ...]:
    """Return everything of an answer that may not depend on the reason of a refusal."""
    document = {name: value for name, value in answer.document.items() if name != "request_id"}
    challenge = answer.headers["WWW-Authenticate"]
    names = tuple(sorted(answer.headers))
    return answer.status, json.dumps(document, sort_keys=True), names, challenge


class TestEveryRow:
    """What the verifier refuses, the gateway refuses: in one way."""

    async def test_every_attack_meets_the_same_401(
        self, tmp_path: Path, token: TokenService
    ) -> None:
        """Status, body, header names and challenge are alike, and no upstream sees any of it."""
        forged = forge()
        async with start_world(tmp_path, token=token) as world:
            good = await world.ask("GET", ME, headers=_bearer(forged.token()))
            answers = [
                (str(attack), await world.ask("GET", ME, headers=_bearer(attack.token)))
                for attack in attacks(forged)
                if attack.fits_a_header
            ]
            reached = len(world.identity.seen)

        kinds = {seen(answer): name for name, answer in answers}
        assert good.status == 200
        assert len(answers) > 300
        assert len(kinds) == 1, kinds.values()
        assert {a.document["code"] for _, a in answers} == {"invalid_token"}
        assert reached == 1


class TestJ04UnknownKids:
    """J-04: names of keys that nobody has cost token nothing."""

    async def test_a_thousand_of_them_are_one_fetch(
        self, tmp_path: Path, token: TokenService
    ) -> None:
        """A thousand different kids at once, in the ten seconds of one refetch."""
        forged = forge()
        texts = [forged.token(forged.header(kid=f"k{number}")) for number in range(1000)]
        async with start_world(tmp_path, token=token) as world:
            fetched = token.jwks_fetched
            codes = set()
            for start in range(0, len(texts), 50):
                batch = [world.ask("GET", ME, headers=_bearer(t)) for t in texts[start:][:50]]
                codes |= {answer.document["code"] for answer in await asyncio.gather(*batch)}
            # Beside the refetch there is the poll of every five seconds.
            refetched = token.jwks_fetched - fetched

        assert codes == {"invalid_token"}
        assert refetched <= 4


class TestJ11BoundTokens:
    """J-11: DPoP is not offered, so nothing of it counts as a proof."""

    @pytest.mark.parametrize("scheme", ["DPoP", "dpop", "MAC", "Token", "Basic", "JWT", ""])
    async def test_another_scheme_is_no_bearer(
        self, tmp_path: Path, token: TokenService, scheme: str
    ) -> None:
        """A good token under the wrong word is no token: 401 `unauthenticated`."""
        async with start_world(tmp_path, token=token) as world:
            headers = {"Authorization": f"{scheme} {forge().token()}".strip()}
            answer = await world.ask("GET", ME, headers=headers | {"DPoP": forge().token()})

        assert (answer.status, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


class TestJ14Redirects:
    """J-14: a credential that was posted is never sent on to another place (RFC 9700 §4.12)."""

    @pytest.mark.parametrize("name", ["login", "refresh", "logout", "register"])
    @pytest.mark.parametrize("end", ["", "/", "//", "/.", "?next=//evil.example", ";x", "%2f"])
    async def test_nothing_that_is_posted_is_redirected(
        self, world: World, name: str, end: str
    ) -> None:
        """Neither with 307 nor otherwise, whatever the path looks like."""
        answer = await world.ask("POST", f"/api/v1/auth/{name}{end}", json={"password": "x"})

        assert not 300 <= answer.status < 400
        assert "Location" not in answer.headers


class TestJ17Revocation:
    """J-17: what is revoked stays so for every spelling, as long as any token of it could live."""

    async def test_the_twin_signature_is_refused_too(
        self, tmp_path: Path, token: TokenService
    ) -> None:
        """The other ECDSA signature of the same token is of the same `sid`."""
        forged = forge()
        spellings = forged.token(), forged.token(sign=forged.twin)
        async with start_world(tmp_path, token=token) as world:
            before = [(await world.ask("GET", ME, headers=_bearer(t))).status for t in spellings]
            token.revoke("sid", forged.claims["sid"], _soon())

            async def refused() -> bool:
                asked = [await world.ask("GET", ME, headers=_bearer(t)) for t in spellings]
                return {a.status for a in asked} == {401}

            await eventually(refused)

        assert before == [200, 200]
        assert spellings[0] != spellings[1]

    async def test_of_one_token_leaves_the_others_of_its_session(
        self, tmp_path: Path, token: TokenService
    ) -> None:
        """`jti` names one."""
        ann = Subject()
        one, other = (access_token(KEY, ann, jti=name) for name in ("one", "other"))
        token.revoke("jti", "one", _soon())
        async with start_world(tmp_path, token=token) as world:
            answers = [await world.ask("GET", ME, headers=_bearer(text)) for text in (one, other)]

        assert [answer.status for answer in answers] == [401, 200]


class TestX29WrongPlaces:
    """X-29: an access token counts in the Authorization header alone (RFC 6750 §2)."""

    @pytest.mark.parametrize("name", ["access_token", "token", "jwt", "authorization"])
    async def test_in_the_query_it_is_none(
        self, tmp_path: Path, token: TokenService, name: str
    ) -> None:
        """Nor in a header of another name, nor in a cookie of another name."""
        text = forge().token()
        async with start_world(tmp_path, token=token) as world:
            answers = [
                await world.ask("GET", f"{ME}?{name}={text}"),
                await world.ask("GET", ME, headers={f"X-{name}": text}),
                await world.ask("GET", ME, headers={"Cookie": f"{name}={text}"}),
            ]

        assert {(a.status, a.document["code"]) for a in answers} == {(401, "unauthenticated")}


def _bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=17)  # noqa: TID251 - the gateway's real clock
