"""The broker that the environment names, by its management API: used, never controlled."""

import base64
import json
import os
import urllib.error
import urllib.request
from urllib.parse import quote, unquote, urlsplit

from chassis.provisioning import TEST_PREFIX
from chassis.testing.servers.sources import ForeignServerError, ServerMissingError

URL_VARIABLE = "GATEHOUSE_TEST_RABBITMQ_URL"
API_VARIABLE = "GATEHOUSE_TEST_RABBITMQ_API_URL"

_API_SECONDS = 30.0


class GivenRabbitMQ:
    """A broker of somebody's, with the management plugin (for virtual hosts of our own)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user = unquote(parts.username or "guest")
        self._password = unquote(parts.password or "guest")
        self._scheme = parts.scheme
        self._authority = parts.netloc
        self._api = os.environ.get(API_VARIABLE, f"http://{parts.hostname}:15672").rstrip("/")

    def launch(self) -> None:
        """Do nothing: it runs."""

    def wait_ready(self) -> None:
        """Check that its management API answers."""
        self._call("GET", "/api/whoami")

    def stop(self) -> None:
        """Do nothing: it is not ours."""

    def kill(self) -> None:
        """Refuse."""
        raise ForeignServerError(
            f"the broker of {URL_VARIABLE} is not ours: unset it for fault tests"
        )

    def restart(self) -> None:
        """Refuse."""
        self.kill()

    def settle(self) -> None:
        """Refuse."""
        self.kill()

    def create_vhost(self, name: str) -> str:
        """Make a virtual host and return its URL."""
        require_test_name(name)
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self._call("PUT", f"/api/vhosts/{quote(name, safe='')}")
        self._call("PUT", f"/api/permissions/{quote(name, safe='')}/{quote(self._user)}", rights)
        return f"{self._scheme}://{self._authority}/{quote(name, safe='')}"

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host."""
        require_test_name(name)
        self._call("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> None:
        credentials = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - the tester's own URL
            self._api + path,
            method=method,
            data=json.dumps(body or {}).encode() if method == "PUT" else None,
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_API_SECONDS):  # noqa: S310 - as above
                return
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"it answered {error.code}"
        except OSError as error:
            reason = str(error)
        raise ServerMissingError(
            f"{URL_VARIABLE} is set, but its management API at {self._api} does not do {method}"
            f" {path}: {reason} (set {API_VARIABLE}, or unset both)"
        )


def require_test_name(name: str) -> None:
    """Refuse a virtual host that is not a test's."""
    if not name.startswith(TEST_PREFIX):
        raise ValueError(f"{name} is not a test's: its name lacks {TEST_PREFIX}")
