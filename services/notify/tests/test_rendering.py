"""Templates: complete, strict, and deaf to what stands in their values."""

import re
from typing import Any
from uuid import UUID

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from services.notify.domain.messages import Template
from services.notify.rendering import SUBJECTS, Renderer, environment

VALUES: dict[str, Any] = {
    "name": "ada",
    "link": "https://id.example/verify-email#token=a%26b",
    "expires_at": "2026-01-02T03:04:00+00:00",
    "at": "2026-01-01T12:00:00Z",
    "locked_until": "2026-01-01T12:30:00Z",
    "rule": "password_spraying",
    "address": "203.0.113.9",
    "alert_id": str(UUID(int=7)),
    "pattern": "one address tried many accounts, each with a few passwords",
    "severity": "high",
    "attempts": 31,
    "accounts": 16,
    "addresses": 1,
}
HOSTILE = "<img src=x onerror=alert(1)>{{7*7}}${7*7}{% raw %}%s{0.__class__}"


@pytest.fixture
def renderer() -> Renderer:
    """Give the renderer of one installation."""
    return Renderer(base_url="https://id.example", product="Gatehouse")


class TestTemplates:
    """Every mail there is."""

    @pytest.mark.parametrize("template", Template)
    def test_renders_text_and_html(self, renderer: Renderer, template: Template) -> None:
        """Greeting, footer and language are there; nothing is left of the template's language."""
        rendered = renderer.render(template, VALUES)

        assert rendered.text.startswith("Hello ada,\n\n")
        assert "Gatehouse at id.example" in rendered.text
        assert rendered.html.startswith('<!doctype html>\n<html lang="en">')
        assert not re.search(r"\{[{%#]|[}%#]\}", rendered.text + rendered.html.replace("}}", ""))
        assert "\n\n\n" not in rendered.text

    @pytest.mark.parametrize("template", Template)
    def test_loads_nothing_from_outside(self, renderer: Renderer, template: Template) -> None:
        """No image, script, font or tracker: the only addresses are the link's."""
        rendered = renderer.render(template, VALUES)

        assert not re.search(r"<(img|script|link|iframe|object)|url\(", rendered.html)
        outside = rendered.html.replace(VALUES["link"], "")
        assert "://" not in outside

    @pytest.mark.parametrize("template", Template)
    def test_greets_without_a_name(self, renderer: Renderer, template: Template) -> None:
        """An unknown name leaves no gap."""
        rendered = renderer.render(template, {**VALUES, "name": None})

        assert rendered.text.startswith("Hello,\n")
        assert "<p>Hello,</p>" in rendered.html

    def test_says_when_a_link_ends(self, renderer: Renderer) -> None:
        """In words, with its zone."""
        rendered = renderer.render(Template.VERIFICATION, VALUES)

        assert "02 January 2026, 03:04 UTC" in rendered.text
        assert rendered.text.count(VALUES["link"]) == 1

    def test_refuses_a_missing_value(self, renderer: Renderer) -> None:
        """A mail with a hole is worse than none."""
        with pytest.raises(UndefinedError):
            renderer.render(Template.VERIFICATION, {"name": "ada"})


class TestHostileValues:
    """Values are data (X-17, ASVS 1.1.2, 1.3.7, 1.3.10)."""

    @pytest.mark.parametrize("field", ["name", "rule", "address", "pattern", "severity"])
    def test_prints_them_literally(self, renderer: Renderer, field: str) -> None:
        """Escaped in HTML, untouched in text, run nowhere."""
        rendered = renderer.render(Template.SECURITY_ALERT, {**VALUES, field: HOSTILE})

        assert HOSTILE in rendered.text
        assert "&lt;img src=x onerror=alert(1)&gt;{{7*7}}${7*7}" in rendered.html
        assert "<img" not in rendered.html
        assert "49" not in rendered.text + rendered.html

    def test_a_link_stays_inside_its_attribute(self, renderer: Renderer) -> None:
        """Quotes cannot end it."""
        rendered = renderer.render(
            Template.VERIFICATION, {**VALUES, "link": 'https://x.example/" onclick="alert(1)'}
        )

        assert 'onclick="' not in rendered.html

    @pytest.mark.parametrize("template", Template)
    def test_subjects_are_constants(self, renderer: Renderer, template: Template) -> None:
        """Nothing anybody typed stands in one."""
        hostile = dict.fromkeys(VALUES, "x\r\nBcc: eve@evil.example")
        times = {name: VALUES[name] for name in ("at", "expires_at", "locked_until")}

        assert renderer.render(template, hostile | times).subject == SUBJECTS[template]

    def test_the_engine_is_sandboxed(self) -> None:
        """Even a template of somebody else's could not leave it."""
        escape = environment().from_string("{{ ''.__class__.__mro__ }}")

        with pytest.raises(SecurityError):
            escape.render()
