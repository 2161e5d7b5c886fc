"""From a template and its values to subject, text and HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from services.notify.domain import Template

TEMPLATES = Path(__file__).parent / "templates"

SUBJECTS: Mapping[Template, str] = {
    Template.VERIFICATION: "Confirm your e-mail address",
    Template.WELCOME: "Welcome: your address is confirmed",
    Template.PASSWORD_RESET: "Reset your password",
    Template.PASSWORD_WAS_RESET: "Your password was reset",
    Template.PASSWORD_CHANGED: "Your password was changed",
    Template.EMAIL_CHANGED: "The e-mail address of your account was changed",
    Template.ACCOUNT_LOCKED: "Your account is locked for a while",
    Template.SESSION_REUSED: "We ended one of your sessions",
    Template.SUSPICIOUS_ACTIVITY: "Suspicious activity on your account",
    Template.SECURITY_ALERT: "Security alert",
}
"""Constants on purpose: nothing anybody typed ever stands in a subject."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail's content; `text` and `html` may hold a secret link."""

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


class Renderer:
    """Renders the mails of one installation, reached at *base_url* and named *product*.

    Templates are files of ours alone; values are data to them, escaped in HTML. A value that a
    template names and nobody gave is an error (jinja2.UndefinedError).
    """

    def __init__(self, *, base_url: str, product: str) -> None:
        self._common = {"product": product, "host": urlsplit(base_url).netloc}
        self._environment = environment()

    def render(self, template: Template, values: Mapping[str, Any]) -> Rendered:
        """Return *template* filled with *values*."""
        context = {**self._common, **values}
        text = self._environment.get_template(f"{template}.txt").render(context)
        html = self._environment.get_template(f"{template}.html").render(context)
        return Rendered(SUBJECTS[template], text, html)


def environment() -> ImmutableSandboxedEnvironment:
    """Return the template engine: sandboxed, strict, escaping in every `.html`."""
    made = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["moment"] = moment
    # One style sheet, word for word the same in every mail: the inbox page allows it by its hash.
    made.globals["mail_style"] = Markup((TEMPLATES / "mail.css").read_text("utf-8"))
    return made


def moment(value: datetime | str) -> str:
    """Write a time as people read it; *value* may be RFC 3339 text."""
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.astimezone(UTC).strftime("%d %B %Y, %H:%M UTC")
