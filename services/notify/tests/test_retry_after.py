"""How long the other side wants to be left alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notify.transports.sendgrid import retry_after

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class TestRetryAfter:
    """RFC 9110 §10.2.3, and SendGrid's own headers."""

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"Retry-After": "120"}, 120),
            ({"Retry-After": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30),
            ({"Retry-After": "Thu, 01 Jan 2026 11:00:00 -0000"}, 0),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "-5"}, None),
            ({"Retry-After": "9" * 40}, None),
            ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 7)}, 7),
            ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "1767268807"}, None),
            ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "x"}, None),
        ],
    )
    def test_reads_what_it_says(self, headers: dict[str, Any], seconds: int | None) -> None:
        """Seconds, a date, or SendGrid's own header; nonsense says nothing."""
        expected = None if seconds is None else timedelta(seconds=seconds)

        assert retry_after(headers, now=NOW) == expected
