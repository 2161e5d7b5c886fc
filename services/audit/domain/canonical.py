"""Canonical JSON: one value has exactly one sequence of bytes (RFC 8785).

Beyond the RFC, integers of any size are written exactly: evidence is not rounded to a double.
"""

import json
import math
from collections.abc import Mapping
from decimal import Decimal

_FIXED_FROM, _FIXED_TO = -7, 21  # ECMAScript writes exponents outside 1e-7 < |x| < 1e21


class NotCanonicalError(ValueError):
    """The value has no canonical form: NaN, infinity, a lone surrogate, or nested too deeply."""


def canonical_json(value: object) -> bytes:
    """Return the canonical bytes of *value* (RFC 8785 §3.2). Raises NotCanonicalError."""
    try:
        return _write(value).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        raise NotCanonicalError("no canonical form") from None


def _write(value: object) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        members = sorted(value.items(), key=_utf16)
        return "{" + ",".join(f"{_write(str(k))}:{_write(v)}" for k, v in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_write(item) for item in value) + "]"
    raise NotCanonicalError(f"{type(value).__name__} is not JSON")


def _utf16(member: tuple[object, object]) -> bytes:
    """Order members by the UTF-16 code units of their names (RFC 8785 §3.2.3)."""
    return str(member[0]).encode("utf-16-be", "surrogatepass")


def _number(value: float) -> str:
    """Write a double as ECMAScript's Number.prototype.toString does (RFC 8785 §3.2.2.3)."""
    if not math.isfinite(value):
        raise NotCanonicalError("not a finite number")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - finite, so never the letters of a NaN
    text = "".join(map(str, digits))
    point = len(text) + exponent  # where the decimal point stands, counted from the first digit
    minus = "-" if sign else ""
    return minus + (
        _fixed(text, point) if _FIXED_FROM < point - 1 < _FIXED_TO else _exponential(text, point)
    )


def _fixed(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


def _exponential(digits: str, point: int) -> str:
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{mantissa}e{point - 1:+d}"
