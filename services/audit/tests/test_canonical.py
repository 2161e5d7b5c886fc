"""One value, one sequence of bytes (RFC 8785)."""

import json
from typing import Any

import pytest

from services.audit.domain.canonical import NotCanonicalError, canonical_json

PERSON = "5b0c3b1e-7a53-4e0b-9d6c-2f8a1b3c4d5e"
ADMIN = "9f1d2c3b-4a5e-4f60-8172-839405a6b7c8"


class TestCanonicalJson:
    """RFC 8785."""

    def test_example_of_the_rfc(self) -> None:
        """Appendix: §3.2.2 in, §3.2.4 out."""
        document = json.loads(
            r"""{
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }"""
        )

        assert (
            canonical_json(document)
            == (
                '{"literals":[null,true,false],'
                '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
            ).encode()
        )

    def test_names_are_ordered_by_utf16(self) -> None:
        """§3.2.3: an emoji stands before a letter from the end of the basic plane."""
        names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]

        ordered = list(json.loads(canonical_json(dict.fromkeys(names, 0))))

        assert ordered == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]

    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (9007199254740992.0, "9007199254740992"),
            (295147905179352830000.0, "295147905179352830000"),
            (1e21, "1e+21"),
            (999999999999999900000.0, "999999999999999900000"),
            (0.000001, "0.000001"),
            (9.999999999999997e-7, "9.999999999999997e-7"),
            (333333333.3333332, "333333333.3333332"),
            (2**70, "1180591620717411303424"),
        ],
    )
    def test_numbers_are_written_as_ecmascript_writes_them(self, number: float, text: str) -> None:
        """Appendix B, and integers exactly."""
        assert canonical_json(number) == text.encode()

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, {1, 2}, b"bytes"]
    )
    def test_what_has_no_form_is_refused(self, value: object) -> None:
        """Rather no leaf than an ambiguous one."""
        with pytest.raises(NotCanonicalError):
            canonical_json(value)

    def test_bottomless_nesting_is_refused(self) -> None:
        """It must not take the process down."""
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]

        with pytest.raises(NotCanonicalError):
            canonical_json(value)
