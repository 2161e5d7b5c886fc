"""How browser mode is put together."""

from dataclasses import dataclass

from gateway.authentication import Authentication
from gateway.browser.answers import SessionAnswers
from gateway.browser.cookies import PlatformCookies
from gateway.browser.csrf import CsrfTokens
from gateway.browser.endpoint import CsrfEndpoint
from gateway.browser.mode import ClientModes
from gateway.browser.origins import TrustedOrigins
from gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Browsers:
    """What serves browsers: at the way in, at the way back, and an endpoint of its own."""

    modes: ClientModes
    answers: SessionAnswers
    csrf: CsrfEndpoint


def browsers(settings: GatewaySettings, authentication: Authentication) -> Browsers:
    """Build it; the names of cookies follow from PUBLIC_BASE_URL."""
    cookies = PlatformCookies(secure=not settings.on_plain_loopback)
    csrf = CsrfTokens(settings.csrf_keys)
    origins = TrustedOrigins({settings.public_base_url, *settings.cors_allowed_origins})
    return Browsers(
        ClientModes(cookies, csrf, origins),
        SessionAnswers(cookies, csrf),
        CsrfEndpoint(cookies, csrf, origins, authentication),
    )
