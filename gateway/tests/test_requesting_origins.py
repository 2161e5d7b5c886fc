"""Where a request comes from: Fetch Metadata, Origin, Referer."""

import pytest

from gateway.browser.origins import TrustedOrigins
from gateway.errors import CrossOriginRefused

OURS, LISTED = "https://auth.example", "https://app.example:8443"
ORIGINS = TrustedOrigins([OURS, LISTED])


def refuses(*headers: tuple[str, str], change: bool = True) -> bool:
    """Say whether a request with these headers is refused."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    try:
        ORIGINS.check_change(raw) if change else ORIGINS.check_read(raw)
    except CrossOriginRefused:
        return True
    return False


SITE, ORIGIN, REFERER = "sec-fetch-site", "origin", "referer"
TRICKS = [
    "null",
    "",
    "https://auth.example.evil",
    "https://auth.example@evil",
    "https://evil/https://auth.example",
    "https://auth.example/",
    "https://auth.example:443",
    "http://auth.example",
    "https://AUTH.example",
    "https://app.example",
    "https://xauth.example",
    "auth.example",
    "*",
]


class TestChanges:
    """What may change something."""

    @pytest.mark.parametrize("site", ["same-origin", "none"])
    def test_passes_from_a_page_of_ours(self, site: str) -> None:
        """The browser says so."""
        assert not refuses((SITE, site), (ORIGIN, OURS))
        assert not refuses((SITE, site))

    @pytest.mark.parametrize("site", ["same-site", "cross-site", "garbage", "", "Same-Origin"])
    def test_is_refused_from_elsewhere(self, site: str) -> None:
        """A sibling sub-domain is elsewhere; a Referer does not help."""
        assert refuses((SITE, site))
        assert refuses((SITE, site), (ORIGIN, "https://evil.example"))
        assert refuses((SITE, site), (REFERER, OURS + "/page"))

    @pytest.mark.parametrize("site", ["same-site", "cross-site"])
    @pytest.mark.parametrize("origin", [OURS, LISTED])
    def test_passes_from_a_trusted_origin(self, site: str, origin: str) -> None:
        """By its exact name."""
        assert not refuses((SITE, site), (ORIGIN, origin))

    def test_needs_an_origin_where_there_is_no_fetch_metadata(self) -> None:
        """Then a Referer; who sends neither is refused."""
        assert not refuses((ORIGIN, OURS))
        assert not refuses((ORIGIN, LISTED), (REFERER, "https://evil.example/"))
        assert not refuses((REFERER, OURS + "/page?x=1"))
        assert not refuses((REFERER, LISTED + "/"))
        assert refuses()

    @pytest.mark.parametrize("text", TRICKS)
    def test_knows_no_similar_origins(self, text: str) -> None:
        """Equality, nothing else; also a good Referer does not outweigh a bad Origin."""
        assert refuses((ORIGIN, text))
        assert refuses((SITE, "same-site"), (ORIGIN, text))
        assert refuses((ORIGIN, text), (REFERER, OURS + "/"))

    @pytest.mark.parametrize(
        "referer",
        [
            "https://auth.example.evil/",
            "https://auth.example@evil/",
            "https://evil/?https://auth.example/",
            "http://auth.example/",
            "https://auth.example:444/",
            "/page",
            "about:blank",
            "https://[",
            "",
        ],
    )
    def test_knows_no_similar_referers(self, referer: str) -> None:
        """Their origin counts, whatever else is in them."""
        assert refuses((REFERER, referer))

    def test_a_null_origin_is_refused_whatever_else_is_said(self) -> None:
        """A sandboxed frame, a file, a redirect."""
        assert refuses((SITE, "same-origin"), (ORIGIN, "null"))

    def test_no_header_may_come_twice(self) -> None:
        """Which of the two a browser wrote cannot be told."""
        assert refuses((SITE, "same-origin"), (SITE, "cross-site"))
        assert refuses((ORIGIN, OURS), (ORIGIN, "https://evil.example"))


class TestReading:
    """What only reads: refused where the browser says that a stranger asks."""

    def test_passes_without_any_word(self) -> None:
        """Old browsers say nothing about reading, and no Origin comes with a GET."""
        assert not refuses(change=False)
        assert not refuses((SITE, "none"), change=False)
        assert not refuses((SITE, "same-origin"), change=False)

    def test_is_refused_from_elsewhere_but_for_trusted_origins(self) -> None:
        """As for changes."""
        assert refuses((SITE, "cross-site"), change=False)
        assert refuses((SITE, "same-site"), (ORIGIN, "https://evil.example"), change=False)
        assert not refuses((SITE, "same-site"), (ORIGIN, LISTED), change=False)
