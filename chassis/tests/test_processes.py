"""Ports that were asked for and are not listened on yet."""

import socket
from collections import deque

import pytest

from chassis import processes
from chassis.processes import free_port


@pytest.fixture
def one_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Leave one port to be had."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    monkeypatch.setattr(processes, "_PORTS", range(port, port + 1))
    monkeypatch.setattr(processes, "_TRIES", 1)
    return port


class TestFreePort:
    """Who asks for a port, and who asks before the first listens on it."""

    def test_a_port_is_given_once(self, one_port: int) -> None:
        """Also to another process: what keeps it off is the system's."""
        assert free_port() == one_port
        with pytest.raises(OSError, match="can be listened on"):
            free_port()

    def test_who_was_given_it_may_listen(self, one_port: int) -> None:
        """What keeps others off does not keep the owner off."""
        with socket.create_server(("127.0.0.1", free_port())) as listener:
            assert listener.getsockname()[1] == one_port

    def test_what_was_given_long_ago_may_be_given_again(
        self, one_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a process holds has a bound."""
        monkeypatch.setattr(processes, "_HELD", deque())
        monkeypatch.setattr(processes, "_HELD_AT_MOST", 0)
        assert [free_port(), free_port()] == [one_port, one_port]
