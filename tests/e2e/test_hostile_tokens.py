"""The checklist's hostile access tokens at the gateway, signed with the platform's own key."""

import json

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from chassis.tests.hostile import Forge, attacks
from chassis.tests.hostile.forge import part_of
from tests.platforms.person import Person
from tests.platforms.platform import Platform
from tests.platforms.signing import signing_key


def seen(answer: httpx.Response) -> tuple[object, ...]:
    """Return everything of an answer that may not depend on why the token is refused."""
    document = {name: value for name, value in answer.json().items() if name != "request_id"}
    challenge = answer.headers["www-authenticate"]
    return answer.status_code, json.dumps(document), tuple(answer.headers), challenge


class TestHostileTokens:
    """J-01 to J-15, from outside, on the very key that signs."""

    async def test_all_meet_the_same_401(self, platform: Platform, person: Person) -> None:
        """One step away from the token of somebody who is logged in: none gets in."""
        await person.join()
        key = await signing_key(platform)
        assert isinstance(key.private, EllipticCurvePrivateKey)
        good = jwt.decode(person.access_token, options={"verify_signature": False})
        forge = Forge(private=key.private, kid=key.kid, claims=good)

        forged = await person.me(forge.token())
        answers = [
            (str(attack), await person.me(attack.token))
            for attack in attacks(forge)
            if attack.fits_a_header
        ]

        kinds = {seen(answer): name for name, answer in answers}
        assert forged.status_code == 200  # whoever has the key is believed: the steps are refused
        assert len(answers) > 300
        assert len(kinds) == 1, kinds.values()
        assert {answer.json()["code"] for _, answer in answers} == {"invalid_token"}
        assert (await person.me()).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/users/me", "/api/v1/sessions", "/api/v1/admin/users"])
class TestEveryService:
    """A token that is refused is refused in front of every service."""

    async def test_an_unsigned_one_opens_nothing(self, person: Person, path: str) -> None:
        """The `none` of old, and a changed role, both with everything else in place."""
        await person.join()
        head, _, signature = person.access_token.split(".")
        claims = jwt.decode(person.access_token, options={"verify_signature": False})
        body = part_of({**claims, "roles": ["admin"]})
        unsigned = part_of({"alg": "none", "typ": "at+jwt"})

        answers = [
            await person.call("GET", path, token=text)
            for text in (f"{unsigned}.{body}.", f"{head}.{body}.{signature}")
        ]

        assert [answer.status_code for answer in answers] == [401, 401]
