"""Secrets in the wrong place: each kind where each other belongs, at the gateway."""

import json

import httpx
import pytest

from tests.platforms.kinds import every_kind, every_place
from tests.platforms.single import SingleProcess

pytestmark = pytest.mark.slow

REFUSALS = {
    "access in the header": (401, "invalid_token"),
    "access at logout": (401, "invalid_token"),
    "access in its cookie": (401, "invalid_token"),
    "refresh in the body": (401, "invalid_refresh_token"),
    "refresh at logout": (401, "invalid_refresh_token"),
    "refresh in its cookie": (401, "invalid_refresh_token"),
    "csrf in its header": (403, "csrf_token_invalid"),
    "verify in the body": (400, "token_invalid"),
    "revert in the body": (400, "token_invalid"),
    "reset in the body": (400, "token_invalid"),
    "assertion from outside": (401, "unauthenticated"),
}
"""What each place says to everything that does not belong there."""

LONGEST = {"verify in the body": 128, "revert in the body": 128, "reset in the body": 128}
"""Places with a bound on length: what is longer is told so, whatever it is."""


def seen(answer: httpx.Response) -> tuple[object, ...]:
    """Return what of an answer must not depend on what was put there."""
    document = {name: value for name, value in answer.json().items() if name != "request_id"}
    names = sorted(set(answer.headers) - {"set-cookie"})
    return answer.status_code, json.dumps(document, sort_keys=True), names


class TestSwappedKinds:
    """J-08, X-29: the kinds are mutually exclusive."""

    async def test_every_kind_in_every_place_of_another(self, relaxed: SingleProcess) -> None:
        """One answer per place, whatever stands there; afterwards all are good in their own."""
        async with relaxed.person() as person, relaxed.browser(person) as browser:
            await person.join()
            assert (await browser.login()).is_success
            kinds = await every_kind(relaxed, person, browser)
            answers = {
                (place, kind): await put(text)
                for place, put in every_place(relaxed, person, browser).items()
                for kind, text in kinds.items()
                if kind != place.split()[0]
            }
            served = [await person.me(), await browser.me(), await person.refresh()]
            reset = {"token": kinds["reset"], "new_password": "Another-Staple-8-Shore"}
            served.append(await person.call("POST", "/api/v1/auth/password-reset/verify", reset))
            verified = {"token": kinds["verify"]}
            served.append(await person.call("POST", "/api/v1/auth/email/verify", verified))

        for (place, kind), answer in answers.items():
            too_long = len(kinds[kind]) > LONGEST.get(place, 10_000)
            expected = (400, "invalid_input") if too_long else REFUSALS[place]
            like = answers[place, "10 kB" if too_long else "garbage"]
            met = answer.status_code, answer.json().get("code")
            assert met == expected, (place, kind, answer.text)
            assert seen(answer) == seen(like), (place, kind)
            assert not set(kinds.values()) & set(answer.headers.values())
        assert len(answers) > 80
        assert [answer.status_code for answer in served] == [200] * 5
