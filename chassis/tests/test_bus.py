"""Routing: topic patterns and bindings, and the waits between attempts."""

from datetime import timedelta

import pytest

from chassis.backoff import Backoff
from chassis.bus import Binding, QueueSpec, topic_matches
from contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE


class TestTopics:
    """Patterns mean what they mean to the broker."""

    @pytest.mark.parametrize(
        ("pattern", "key", "expected"),
        [
            ("#", "identity.user.registered.v1", True),
            ("identity.#", "identity.user.registered.v1", True),
            ("identity.#", "identity", True),
            ("identity.#", "identities.user", False),
            ("*.user.#", "identity.user.registered.v1", True),
            ("*.user.#", "user.registered", False),
            ("#.v1", "identity.user.registered.v1", True),
            ("#.v1", "identity.user.registered.v2", False),
            ("identity.*.registered.v1", "identity.user.registered.v1", True),
            ("identity.*.v1", "identity.user.registered.v1", False),
            ("a.b", "a.b", True),
            ("a.b", "a.b.c", False),
        ],
    )
    def test_matches_like_amqp(self, pattern: str, key: str, *, expected: bool) -> None:
        """One star is one word, a hash is any number of them."""
        assert topic_matches(pattern, key) is expected

    def test_commands_are_routed_by_their_exact_name(self) -> None:
        """A pattern on the direct exchange is a name like any other."""
        assert Binding.command("a.b").matches(COMMANDS_EXCHANGE, "a.b")
        assert not Binding.command("#").matches(COMMANDS_EXCHANGE, "a.b")
        assert not Binding.command("a.b").matches(EVENTS_EXCHANGE, "a.b")

    def test_a_queue_wants_what_any_binding_matches(self) -> None:
        """Also when several do."""
        queue = QueueSpec("q", (Binding("a.#"), Binding("#.b")))
        assert queue.wants(EVENTS_EXCHANGE, "a.b")
        assert not queue.wants(EVENTS_EXCHANGE, "c")


class TestBackoff:
    """Waits grow, end at the cap, and are spread."""

    def test_grows_to_the_cap(self) -> None:
        """Also after very many failures."""
        backoff = Backoff(first=timedelta(seconds=1), cap=timedelta(seconds=10), chance=lambda: 0)
        delays = [backoff.delay(n).total_seconds() for n in (1, 2, 3, 4, 5, 10_000)]
        assert delays == [1, 2, 4, 8, 10, 10]

    def test_jitter_shortens(self) -> None:
        """By at most its share."""
        backoff = Backoff(first=timedelta(seconds=8), cap=timedelta(seconds=8), chance=lambda: 1)
        assert backoff.delay(1) == timedelta(seconds=6)
