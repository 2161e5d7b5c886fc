"""The platform's cookies by themselves."""

import pytest

from gateway.browser.cookies import Cookies, PlatformCookies
from gateway.errors import AmbiguousCookies

SECURE, PLAIN = PlatformCookies(secure=True), PlatformCookies(secure=False)


def read(cookies: PlatformCookies, *headers: str) -> Cookies:
    """Read Cookie headers."""
    return cookies.read([(b"cookie", header.encode()) for header in headers])


class TestReading:
    """Cookie headers."""

    def test_finds_the_platforms_among_others(self) -> None:
        """Wherever they stand, also in several headers."""
        found = read(
            SECURE,
            "a=1; __Host-gatehouse-access=AT;__Host-gatehouse-csrf=C",
            "__Host-gatehouse-refresh=R; b==; c",
        )

        assert found == Cookies(access="AT", csrf="C", refresh="R")

    def test_plain_names_are_never_read_under_https(self) -> None:
        """A sibling sub-domain, or whoever speaks http to the host, could have set them."""
        planted = "; ".join(f"gatehouse-{kind}=x" for kind in ("access", "refresh", "csrf"))
        others = "__Secure-gatehouse-access=x; __host-gatehouse-access=x; __Host-gatehouse_access=x"

        assert read(SECURE, planted, others) == Cookies()

    def test_on_a_plain_loopback_only_the_plain_names_are(self) -> None:
        """One set of names at a time."""
        assert read(PLAIN, "gatehouse-device=D; __Host-gatehouse-access=x") == Cookies(device="D")

    @pytest.mark.parametrize(
        "headers",
        [
            ("__Host-gatehouse-csrf=a; __Host-gatehouse-csrf=b",),
            ("__Host-gatehouse-access=a", "__Host-gatehouse-access=a"),
            ("__Host-gatehouse-device=; __Host-gatehouse-device=b",),
        ],
    )
    def test_one_name_twice_is_refused(self, headers: tuple[str, ...]) -> None:
        """Also when both say the same: only one of them is ours."""
        with pytest.raises(AmbiguousCookies):
            read(SECURE, *headers)

    @pytest.mark.parametrize("value", ["", '"quoted"', "a b", "a,b", "a\\b", "\u00e9", "a\tb"])
    def test_what_no_server_can_have_set_is_none(self, value: str) -> None:
        """RFC 6265 §4.1.1."""
        assert read(SECURE, f"__Host-gatehouse-access={value}") == Cookies()


class TestWriting:
    """Set-Cookie values."""

    @pytest.mark.parametrize(
        ("kind", "attributes"),
        [
            ("access", ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]),
            ("refresh", ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"]),
            ("csrf", ["Path=/", "Secure", "SameSite=Strict"]),
            ("device", ["Max-Age=15552000", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"]),
        ],
    )
    def test_says_who_gets_the_cookie_back(self, kind: str, attributes: list[str]) -> None:
        """Only this host, over TLS; all but the device's end with the browser."""
        name, *rest = SECURE.write(kind, "v").split("; ")  # type: ignore[arg-type]  # a literal

        assert (name, rest) == (f"__Host-gatehouse-{kind}=v", attributes)

    def test_without_tls_it_is_neither_secure_nor_bound_to_the_host_by_name(self) -> None:
        """On a developer's machine."""
        assert PLAIN.write("access", "v") == "gatehouse-access=v; Path=/; HttpOnly; SameSite=Lax"

    def test_removes_by_the_same_name_and_attributes(self) -> None:
        """Browsers take `__Host-` cookies, also empty ones, no other way."""
        expired = "__Host-gatehouse-csrf=; Max-Age=0; Path=/; Secure; SameSite=Strict"

        assert SECURE.expire("csrf") == expired
