"""From a template and its values to subject, text and HTML."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notify.domain.contents import links_in
from services.notify.domain.messages import Template

TEMPLATES = Path(__file__).parent / "templates"

SUBJECTS: Mapping[Template, str] = {
    Template.VERIFICATION: "Confirm your e-mail address",
    Template.WELCOME: "Welcome: your address is confirmed",
    Template.PASSWORD_RESET: "Reset your password",
    Template.PASSWORD_WAS_RESET: "Your password was reset",
    Template.PASSWORD_CHANGED: "Your password was changed",
    Template.EMAIL_CHANGE: "Confirm your new e-mail address",
    Template.EMAIL_CHANGE_NOTICE: "A new e-mail address for your account was asked for",
    Template.EMAIL_CHANGED: "The e-mail address of your account was changed",
    Template.ACCOUNT_LOCKED: "Your account is locked for a while",
    Template.NEW_DEVICE: "A new device has logged in to your account",
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


class InboxPage:
    """The page of the development inbox: mails in sandboxed frames, and nothing that runs.

    Frames inherit the page's policy (HTML, srcdoc documents), so that no mail can load anything.
    """

    def __init__(self) -> None:
        self._template = environment().get_template("inbox.html")
        styles = " ".join(f"'{_hash_of(name)}'" for name in ("inbox.css", "mail.css"))
        self.content_security_policy = (
            f"default-src 'none'; style-src {styles}; base-uri 'none'; form-action 'none';"
            " frame-ancestors 'none'"
        )

    def render(self, messages: Sequence[Any], *, recipient: str | None) -> str:
        """Return the page; each of *messages* has the attributes of an inbox message."""
        return self._template.render(messages=messages, recipient=recipient)


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
    made.filters["links"] = links_in
    return made


def moment(value: datetime | str) -> str:
    """Write a time as people read it; *value* may be RFC 3339 text."""
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.astimezone(UTC).strftime("%d %B %Y, %H:%M UTC")


def _hash_of(name: str) -> str:
    """Return how a policy names one inline style sheet (CSP3 §2.3.1)."""
    digest = hashlib.sha256((TEMPLATES / name).read_bytes()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
